# shellcheck shell=bash
# A mount namespace of its own for a mail server that was unpacked (deploy/setup.sh interop) and not
# installed: the users, files and folders that it is built to expect are there for it alone. To be
# sourced with `private NAME "$@"` as the first thing; goes on inside. As root.

root=${MGID_TOOLS:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/tools}/interop

private()
{
    [ -n "${MGID_PRIVATE:-}" ] || MGID_PRIVATE=1 exec unshare --mount "$0" "$@"
}

# private_etc DIR USER…: /etc is a copy with these users (uid and gid from 52901 on).
private_etc()
{
    local etc=$1/etc id=52901 user
    shift
    mkdir -p "$etc"
    cp -a /etc/. "$etc"
    for user in "$@"; do
        echo "$user:x:$id:$id::/nonexistent:/bin/false" >>"$etc/passwd"
        echo "$user:x:$id:" >>"$etc/group"
        id=$((id + 1))
    done
    echo '127.0.0.1 mx1.example.ch' >>"$etc/hosts"
    mount --bind "$etc" /etc
}

# private_folder PATH: an empty one there, whether there is one outside or not.
private_folder()
{
    local parent
    parent=$(dirname "$1")
    [ -d "$1" ] || private_copy "$parent"
    mkdir -p "$1"
    mount -t tmpfs -o mode=755 none "$1"
}

# The folder's content in memory, so that something can be made beside it.
private_copy()
{
    local copy
    copy=$(mktemp -d)
    mount -t tmpfs -o mode=755 none "$copy"
    cp -a "$1/." "$copy" 2>/dev/null || :
    mount --move "$copy" "$1"
    rmdir "$copy"
}

# private_keys DIR CERTS OWNER MODE: what both sides of TLS need, in DIR.
private_keys()
{
    install -d -m 755 "$1"
    install -m 644 "$2/internal.pem" "$2/internal-client.pem" "$2/ca.pem" "$1"
    install -m "$4" -o "$3" -g "$3" "$2/internal.key" "$2/internal-client.key" "$1"
}
