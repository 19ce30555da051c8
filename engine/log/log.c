/* JSON lines: building, buffering, writing. */
#include "engine/log/log.h"
#include "limits.h"
#include "status.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

_Static_assert(LIMIT_LOG_BUFFER >= 2 * LIMIT_LOG_LINE, "a line always fits half the buffer");

/* Room kept at the end of a line for `,"truncated":true}` and the newline. */
enum { LINE_RESERVE = 24 };

static struct {
    int fd;
    bool buffered;
    bool skip;      /* the line under way is below the level */
    bool truncated; /* the line under way lost a field */
    enum log_level level;
    enum role role;
    int pid; /* asked once: a system call a line is dear on the hot path */
    unsigned worker;
    char flow[LIMIT_NAME + 1];
    uint64_t lost;
    bool cut;     /* the last write ended in the midst of a line */
    size_t start; /* where the line under way begins */
    size_t n;
    char buffer[LIMIT_LOG_BUFFER];
} self = {.fd = STDERR_FILENO, .level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "notice", "warning", "error"};

void log_identify(enum role role, struct span flow, unsigned worker)
{
    self.role = role;
    self.pid = 0;
    self.worker = worker;
    self.flow[log_escape(flow, self.flow, LIMIT_NAME)] = '\0';
}

void log_set_fd(int fd)
{
    log_flush();
    if (self.fd != STDERR_FILENO)
        (void)close(self.fd);
    self.fd = fd;
}

void log_set_buffered(bool buffered)
{
    self.buffered = buffered;
}

void log_set_level(enum log_level level)
{
    self.level = level;
}

/* The length of the UTF-8 character that begins at p (RFC 3629), or 0 when none does. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    size_t len = c < 0x80                ? 1
                 : c >= 0xc2 && c < 0xe0 ? 2
                 : (c & 0xf0) == 0xe0    ? 3
                 : c >= 0xf0 && c < 0xf5 ? 4
                                         : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] >= 0x90))
        return 0;
    return len;
}

size_t log_escape(struct span value, char *out, size_t capacity)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n;) {
        char piece[8];
        size_t take = utf8_length(value.p + i, value.n - i);
        size_t len = take;
        unsigned char c = value.p[i];
        if (take == 0) {
            memcpy(piece, "\xef\xbf\xbd", 3);
            take = 1;
            len = 3;
        } else if (c == '"' || c == '\\') {
            piece[0] = '\\';
            piece[1] = (char)c;
            len = 2;
        } else if (c < 0x20 || c == 0x7f) {
            len = (size_t)snprintf(piece, sizeof piece, "\\u%04x", c);
        } else {
            memcpy(piece, value.p + i, take);
        }
        if (len > capacity - n)
            break;
        memcpy(out + n, piece, len);
        n += len;
        i += take;
    }
    return n;
}

static size_t room(void)
{
    size_t used = self.n - self.start + LINE_RESERVE;
    return used < LIMIT_LOG_LINE ? LIMIT_LOG_LINE - used : 0;
}

/* Appends a whole field, already JSON, or nothing. */
static void add(const char *text, size_t n)
{
    if (self.skip)
        return;
    if (n > room()) {
        self.truncated = true;
        return;
    }
    memcpy(self.buffer + self.n, text, n);
    self.n += n;
}

static void add_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add_format(const char *format, ...)
{
    char field[256];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(field, sizeof field, format, ap);
    va_end(ap);
    BUG_ON(n < 0 || (size_t)n >= sizeof field);
    add(field, (size_t)n);
}

/* "2026-11-24T13:37:00.123456Z"; the date and time of day are computed once a second. */
static void stamp(char out[48])
{
    static time_t last = -1;
    static char text[24];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != last) {
        struct tm tm;
        (void)gmtime_r(&now.tv_sec, &tm);
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        last = now.tv_sec;
    }
    (void)snprintf(out, 48, "%s.%06ldZ", text, (now.tv_nsec / 1000) % 1000000);
}

void log_begin(enum log_level level, const char *event)
{
    char time_text[48];
    self.skip = level < self.level;
    self.truncated = false;
    if (self.skip)
        return;
    if (self.n > LIMIT_LOG_BUFFER - LIMIT_LOG_LINE)
        log_flush();
    if (self.pid == 0)
        self.pid = (int)getpid();
    self.start = self.n;
    stamp(time_text);
    add_format("{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%s\"", time_text, level_names[level],
               role_name(self.role));
    if (self.flow[0] != '\0')
        add_format(",\"flow\":\"%s\",\"worker\":%u", self.flow, self.worker);
    add_format(",\"pid\":%d,\"event\":\"%s\"", self.pid, event);
}

void log_span(const char *key, struct span value)
{
    char field[LIMIT_LOG_LINE];
    if (self.skip)
        return;
    size_t n = (size_t)snprintf(field, 128, ",\"%s\":\"", key);
    BUG_ON(n >= 128);
    n += log_escape(value, field + n, sizeof field - n - 1);
    field[n++] = '"';
    add(field, n);
}

void log_text(const char *key, const char *value)
{
    log_span(key, span_str(value));
}

void log_format(const char *key, const char *format, ...)
{
    char text[LIMIT_LOG_LINE];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_text(key, text);
}

void log_number(const char *key, int64_t value)
{
    add_format(",\"%s\":%" PRId64, key, value);
}

void log_seconds(const char *key, int64_t us)
{
    const char *sign = us < 0 ? "-" : "";
    uint64_t v = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    add_format(",\"%s\":%s%" PRIu64 ".%06" PRIu64, key, sign, v / 1000000, v % 1000000);
}

void log_bool(const char *key, bool value)
{
    add_format(",\"%s\":%s", key, value ? "true" : "false");
}

void log_end(void)
{
    static const char cut[] = ",\"truncated\":true";
    if (self.skip)
        return;
    if (self.truncated) {
        memcpy(self.buffer + self.n, cut, sizeof cut - 1);
        self.n += sizeof cut - 1;
    }
    self.buffer[self.n++] = '}';
    self.buffer[self.n++] = '\n';
    if (!self.buffered || self.n > LIMIT_LOG_BUFFER / 2)
        log_flush();
}

static size_t count_lines(const char *p, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

/* What is not written is counted as lost. A line that was cut in its midst is closed by the next
 * write, so that a reader loses that line and not the one after it. */
static bool write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t r = write(self.fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            self.lost += count_lines(p, n);
            return false;
        }
        self.cut = r > 0 && p[r - 1] != '\n';
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static bool tell_lost(void)
{
    char line[256];
    char time_text[48];
    if (self.lost == 0 && !self.cut)
        return true;
    uint64_t lost = self.lost;
    stamp(time_text);
    int n = snprintf(line, sizeof line,
                     "%s{\"time\":\"%s\",\"level\":\"warning\",\"role\":\"%s\",\"pid\":%d,"
                     "\"event\":\"log lost\",\"lines\":%" PRIu64 "}\n",
                     self.cut ? "\n" : "", time_text, role_name(self.role), self.pid, lost);
    BUG_ON(n < 0 || (size_t)n >= sizeof line);
    self.lost = 0;
    if (write_all(line, (size_t)n))
        return true;
    self.lost = lost;
    return false;
}

void log_flush(void)
{
    size_t n = self.n;
    self.n = 0;
    self.start = 0;
    if (n == 0)
        return;
    if (!tell_lost()) {
        self.lost += count_lines(self.buffer, n);
        return;
    }
    (void)write_all(self.buffer, n);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char text[LIMIT_LOG_LINE];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_begin(level, event);
    log_text("text", text);
    log_end();
}

void fatal_env(enum exit_status status, int error, const char *format, ...)
{
    char text[LIMIT_LOG_LINE];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    log_begin(LOG_ERROR, "fatal");
    log_text("text", text);
    if (error != 0)
        log_text("error", strerror(error));
    log_end();
    log_flush();
    exit(status);
}

void fatal_bug(const char *file, int line, const char *what)
{
    log_begin(LOG_ERROR, "bug");
    log_format("at", "%s:%d", file, line);
    log_text("text", what);
    log_end();
    log_flush();
    abort();
}
