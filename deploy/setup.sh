#!/usr/bin/env bash
# Installs what building and testing mgid needs and is not there yet (Debian 12), and unpacks
# Postfix's test tools beside the build. Quiet and quick when nothing is missing.
#
#   deploy/setup.sh build   what `make` needs
#   deploy/setup.sh test    the above, and what `make test` and `make demo` need
#   deploy/setup.sh fuzz    what `make fuzz` needs
#   deploy/setup.sh interop what `make interop` needs: more clients, and servers that are only unpacked
#   deploy/setup.sh all     the same as test
#
# The unpacked tools go to build/tools/bin (smtp-source, smtp-sink, posttls-finger), or to
# MGID_TOOLS/bin.
set -euo pipefail

readonly EX_USAGE=64 EX_UNAVAILABLE=69
here=$(cd "$(dirname "$0")/.." && pwd)
tools=${MGID_TOOLS:-$here/build/tools}

build_packages=(gcc libc6-dev make pkg-config liburing-dev android-libboringssl-dev libseccomp-dev
    libjansson-dev libmicrohttpd-dev check libunbound-dev libidn2-dev dns-root-data ca-certificates)
test_packages=(mandoc zsh fish prometheus swaks libnet-ssleay-perl nsd haproxy openssl python3-jsonschema gnutls-bin
    python3 curl iproute2 procps util-linux libfuse3-dev)
fuzz_packages=(clang llvm)
interop_packages=(msmtp libio-socket-ssl-perl libgnutls-dane0 libidn12 libpcre2-8-0 libevent-2.1-7
    libpam0g libdb5.3 libnsl2 libssl3)
# Unpacked below build/tools/interop.
interop_unpacked=(exim4-daemon-light exim4-base opensmtpd golang-1.19-go golang-1.19-src)
# Packages that bring a server which Debian would start; only the programs are wanted.
service_packages=(nsd haproxy prometheus)
# What Postfix's tools are linked with, beyond libc.
postfix_libraries=(libdb5.3 libicu72 libnsl2 libtirpc3 libsasl2-2 libssl3)
postfix_tools=(smtp-source smtp-sink posttls-finger)

say()
{
    printf 'setup: %s\n' "$*" >&2
}

fail()
{
    say "$@"
    exit "$EX_UNAVAILABLE"
}

# Those of the named packages that are not installed, one a line.
missing()
{
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null || :)
        [[ " $status" = *" installed "* ]] || printf '%s\n' "$package"
    done
}

# The command prefix that makes root of us; fails when there is none.
become_root()
{
    if [ "$(id -u)" = 0 ]; then
        privilege=()
    elif command -v sudo >/dev/null && { sudo -n : 2>/dev/null || [ -t 0 ]; }; then
        privilege=(sudo)
    else
        return 1
    fi
}

apt()
{
    "${privilege[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# A package's server must not start while it is being installed. An administrator's own
# policy-rc.d stays as it is.
forbid_services()
{
    [ -e /usr/sbin/policy-rc.d ] && return
    # shellcheck disable=SC2016 # $0 is for the inner shell
    "${privilege[@]}" sh -c 'printf "#!/bin/sh\nexit 101\n" >"$0" && chmod 755 "$0"' \
        /usr/sbin/policy-rc.d
    trap allow_services EXIT
}

allow_services()
{
    "${privilege[@]}" rm -f /usr/sbin/policy-rc.d
}

# Only what was installed here is kept from starting at boot: a server that the machine had
# before is its administrator's.
keep_stopped()
{
    [ -d /run/systemd/system ] || return 0
    local package
    for package in "$@"; do
        [[ " ${service_packages[*]} " = *" $package "* ]] || continue
        "${privilege[@]}" systemctl --quiet disable --now "$package.service" || :
    done
}

install_missing()
{
    local wanted
    mapfile -t wanted < <(missing "$@")
    [ "${#wanted[@]}" = 0 ] && return
    command -v apt-get >/dev/null || fail "not a Debian system; needed: ${wanted[*]}"
    become_root || fail "missing: ${wanted[*]}
setup: install them with: apt-get install ${wanted[*]}"
    say "installing ${wanted[*]}"
    forbid_services
    # The lists may be old or absent: try with what is there, refresh once, try again.
    apt install -y --no-install-recommends "${wanted[@]}" >/dev/null 2>&1 || {
        apt update >/dev/null || fail "apt-get update failed; still missing: ${wanted[*]}"
        apt install -y --no-install-recommends "${wanted[@]}" >/dev/null ||
            fail "apt-get could not install: ${wanted[*]}"
    }
    keep_stopped "${wanted[@]}"
}

# Unpacks a package below $1/root, without installing it.
unpack()
{
    local into=$1 package=$2 log=$1/download.log
    # The sandbox user of apt may not write where we build.
    (cd "$into" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$package") \
        >"$log" 2>&1 || return 1
    dpkg -x "$into/$package"_*.deb "$into/root"
}

write_wrapper()
{
    local tool=$1 into=$2 triplet
    triplet=$(gcc -dumpmachine)
    cat >"$into/bin/$tool" <<WRAPPER
#!/bin/sh
# Runs the unpacked program with its own libraries; see deploy/setup.sh.
root=\$(dirname "\$(readlink -f "\$0")")/../root
export LD_LIBRARY_PATH="\$root/usr/lib/postfix:\$root/usr/lib/$triplet"
export MAIL_CONFIG="\${MAIL_CONFIG:-\$root/etc/tools}"
exec "\$root/usr/sbin/$tool" "\$@"
WRAPPER
    chmod 755 "$into/bin/$tool"
}

fetch_postfix()
{
    local into=$1 package
    for package in postfix $(missing "${postfix_libraries[@]}"); do
        unpack "$into" "$package" && continue
        become_root || fail "cannot download $package: $(tail -n 1 "$into/download.log")"
        apt update >/dev/null || fail "apt-get update failed; cannot download $package"
        unpack "$into" "$package" ||
            fail "cannot download $package: $(tail -n 1 "$into/download.log")"
    done
}

# Postfix is unpacked, not installed: the machine gets no second mail server.
unpack_postfix()
{
    [ -e "$tools/.complete" ] && return
    local into tool
    say "unpacking Postfix's tools into $tools"
    mkdir -p "$(dirname "$tools")"
    into=$(mktemp -d "$tools.XXXXXX")
    chmod 755 "$into"
    mkdir -p "$into/bin" "$into/root/etc/tools"
    # posttls-finger wants a configuration; no user "postfix" is made for it.
    printf '%s\n' 'compatibility_level = 3.6' 'mail_owner = mail' 'setgid_group = news' \
        >"$into/root/etc/tools/main.cf"
    fetch_postfix "$into"
    for tool in "${postfix_tools[@]}"; do
        write_wrapper "$tool" "$into"
        if LD_LIBRARY_PATH=$into/root/usr/lib/postfix:$into/root/usr/lib/$(gcc -dumpmachine) \
            ldd "$into/root/usr/sbin/$tool" | grep -q 'not found'; then
            fail "$tool lacks a library: $(ldd "$into/root/usr/sbin/$tool" | grep 'not found')"
        fi
    done
    rm -f "$into"/*.deb "$into/download.log"
    : >"$into/.complete"
    rm -rf "$tools"
    mv "$into" "$tools"
}

# Mail servers that the machine shall not have, Go to build one program, nodemailer.
unpack_interop()
{
    [ -e "$tools/interop/.complete" ] && return
    local into package go
    say "unpacking servers and clients into $tools/interop"
    mkdir -p "$tools"
    into=$(mktemp -d "$tools/interop.XXXXXX")
    chmod 755 "$into"
    mkdir "$into/root"
    for package in "${interop_unpacked[@]}"; do
        unpack "$into" "$package" || fail "cannot download $package: $(tail -n 1 "$into/download.log")"
        rm -f "$into"/*.deb
    done
    go=$into/root/usr/lib/go-1.19
    GOROOT=$go GOCACHE=$into/cache GO111MODULE=off CGO_ENABLED=0 \
        "$go/bin/go" build -o "$into/root/gosend" "$here/tests/interop/gosend.go" ||
        fail "cannot build tests/interop/gosend.go"
    npm install --silent --no-audit --no-fund --prefix "$into/root" nodemailer@6 >/dev/null ||
        fail "npm cannot install nodemailer"
    rm -rf "$go" "$into/root/usr/share"
    : >"$into/root/.complete"
    rm -rf "$tools/interop"
    mv "$into/root" "$tools/interop"
    chmod -R u+w "$into"
    rm -rf "$into"
}

case ${1:-all} in
build)
    install_missing "${build_packages[@]}"
    ;;
test | all)
    install_missing "${build_packages[@]}" "${test_packages[@]}"
    unpack_postfix
    ;;
interop)
    install_missing "${build_packages[@]}" "${test_packages[@]}" "${interop_packages[@]}"
    command -v npm >/dev/null || install_missing nodejs npm
    unpack_postfix
    unpack_interop
    ;;
fuzz)
    install_missing "${build_packages[@]}" "${fuzz_packages[@]}"
    ;;
*)
    say "usage: $0 [build|test|interop|fuzz|all]"
    exit "$EX_USAGE"
    ;;
esac
