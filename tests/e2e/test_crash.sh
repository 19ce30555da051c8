# The short form of `make crash`: kills under load, at named points where the build has them
# ($BUILD/crash, see tests/crash/crash.mk); every mail that got its 250 arrives as it was sent.
BUILD=${BUILD:-build}
cd "$(dirname "$0")/../.." || exit 1
[ -x "$BUILD/crash/sbin/mgid" ] && export BUILD=$BUILD/crash POINTS=1 || export BUILD POINTS=0
SHORT=1 KILLS=12 SESSIONS=4 exec bash tests/crash/crash.sh
