/* Tables, and values as people read them. */
#include "workers/mgictl/command.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* A control character of ASCII, or one of U+0080 to U+009F, at text[0]: how long it is. */
static size_t control_length(const char *text)
{
    unsigned char c = (unsigned char)text[0];
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0 ? 2 : 0;
}

void print_safe(const char *text)
{
    while (*text) {
        size_t n = control_length(text);
        (void)putchar(n > 0 ? '?' : *text);
        text += n > 0 ? n : 1;
    }
}

/* Characters; those of double width are rare in addresses, and only misalign their row. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += !continuation((unsigned char)*text);
    return n;
}

void table_row(struct table *table, const char *const *texts)
{
    if (table->rows == TABLE_ROWS)
        table_flush(table);
    for (unsigned c = 0; c < table->columns; c++) {
        char *copy = strdup(texts[c]);
        if (!copy)
            fatal_env(EXIT_OSERR, 0, "no memory");
        table->cells[table->rows][c] = copy;
    }
    table->rows++;
}

static void print_row(const struct table *table, const char *const *texts)
{
    for (unsigned c = 0; c < table->columns; c++) {
        int pad = (int)(table->widths[c] - width(texts[c]));
        if (c > 0)
            printf("  ");
        if (table->right[c])
            printf("%*s", pad, "");
        print_safe(texts[c]);
        if (!table->right[c] && c + 1 < table->columns)
            printf("%*s", pad, "");
    }
    printf("\n");
}

void table_flush(struct table *table)
{
    for (unsigned c = 0; c < table->columns; c++) {
        if (!table->begun)
            table->widths[c] = width(table->heads[c]);
        for (unsigned r = 0; r < table->rows; r++)
            if (width(table->cells[r][c]) > table->widths[c])
                table->widths[c] = width(table->cells[r][c]);
    }
    if (!table->begun && table->rows > 0) {
        print_row(table, table->heads);
        table->begun = true;
    }
    for (unsigned r = 0; r < table->rows; r++) {
        print_row(table, (const char *const *)table->cells[r]);
        for (unsigned c = 0; c < table->columns; c++)
            free(table->cells[r][c]);
    }
    table->rows = 0;
}

void text_duration(json_int_t seconds, char *out)
{
    static const struct {
        json_int_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    if (seconds < 0)
        seconds = 0;
    size_t u = 0;
    while (u < 3 && seconds < units[u].seconds)
        u++;
    int n = snprintf(out, TEXT_LENGTH, "%" JSON_INTEGER_FORMAT " %s", seconds / units[u].seconds,
                     units[u].name);
    if (u < 2 && n > 0)
        (void)snprintf(out + n, TEXT_LENGTH - (size_t)n, " %" JSON_INTEGER_FORMAT " %s",
                       seconds % units[u].seconds / units[u + 1].seconds, units[u + 1].name);
}

void text_size(json_int_t bytes, char *out)
{
    static const char units[] = "BkMGTPE";
    double value = (double)bytes;
    size_t u = 0;
    for (; value >= 999.5 && u + 2 < sizeof units; u++)
        value /= 1000;
    (void)snprintf(out, TEXT_LENGTH, u == 0 || value >= 99.5 ? "%.0f%c" : "%.1f%c", value,
                   units[u]);
}

void text_number(json_int_t number, char *out)
{
    (void)snprintf(out, TEXT_LENGTH, "%" JSON_INTEGER_FORMAT, number);
}

void text_time(json_int_t seconds, char *out)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(out, TEXT_LENGTH, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        text_number(seconds, out);
}
