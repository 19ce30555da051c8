# The short form of `make soak`: mixed load for some seconds, with kills, reloads and requests.
BUILD=${BUILD:-build}
cd "$(dirname "$0")/../.." || exit 1
export BUILD POINTS=0
SHORT=1 SOAK=6 SESSIONS=6 exec bash tests/crash/crash.sh
