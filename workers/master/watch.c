/* Certificates that are renewed under the same names take effect by themselves. */
#include "engine/log/log.h"
#include "workers/master/master.h"

void watch_tick(struct master *m, uint64_t now, uint64_t *next)
{
    struct watch *watch = &m->watch;
    if (!m->up || m->stop != STOP_NOT || m->emptying || m->generation.number == 0)
        return;
    if (now >= watch->at) {
        uint64_t stamp = generation_stamp(&m->generation);
        bool rests = stamp == watch->seen; /* a half-written pair is not tried */
        watch->seen = stamp;
        watch->at = now + WATCH_INTERVAL;
        if (rests && stamp != m->generation.stamp && stamp != watch->tried &&
            m->reload.step == RELOAD_IDLE) {
            watch->tried = stamp;
            log_line(LOG_NOTICE, "files changed",
                     "certificates, keys or trust stores are read anew");
            reload_files(m);
        }
    }
    if (watch->at < *next)
        *next = watch->at;
}
