/*
 * header: what mgid needs to know of a message's header section (RFC 5322): the fields that a
 * rule asks for, decoded as a mail client would show them, and the domain of From.
 *
 * Everything here is pure and trusts no byte: the message comes from a stranger, and a rule
 * like "subject contains <im>" must see what the recipient's client is going to show.
 */
#ifndef MGID_MIME_HEADER_H
#define MGID_MIME_HEADER_H

#include "limits.h"
#include "span.h"

/* ---- 1. the streaming scanner ----------------------------------------------------------- */

enum header_mode {
    HEADER_FIRST, /* captures the first field of that name; further ones are only counted */
    /* Captures every field of that name; values are joined with one "\n", which a value itself
     * never holds: so a condition can look at each of them (header_next_value). For Subject,
     * because clients differ in which of two subjects they show. */
    HEADER_JOIN,
    HEADER_COUNT, /* captures nothing, counts (Received: loops) */
};

/* A field that the caller asks for. Names and `by` must stay valid as long as the scanner. */
struct header_want {
    struct span name; /* without the colon; ASCII letters match in either case */
    enum header_mode mode;
    /* When not empty: fields whose value holds the word "by" and then this word count as `hits`.
     * With name "Received" and our own host name: how often this mail has been here already. */
    struct span by;
};

/* What was found. `offset` and `length` are places in the scanner's buffer: use header_value. */
struct header_field {
    uint32_t offset;
    uint32_t length;
    uint16_t count; /* fields of that name so far, at most 65535 */
    uint16_t hits;  /* of them, those with "by `by`" */
    bool truncated; /* LIMIT_HEADER_CAPTURE or the buffer's end cut the value */
};

/*
 * All state of a scan; the caller reads `done`, `fields` and the three flags, the rest is
 * private. Once a flag is set it stays; the scan goes on, to find the end of the section.
 */
struct header_scanner {
    const struct header_want *wants;
    struct header_field fields[LIMIT_HEADER_WANTS];
    unsigned char *buffer;
    uint32_t capacity;
    uint32_t used;
    uint32_t bytes;       /* of the header section so far, at most LIMIT_HEADERS + 1 */
    uint32_t field_count; /* of all names, at most LIMIT_HEADER_FIELDS + 1 */
    uint32_t alive;       /* wants whose name still matches the name under way */
    uint16_t name_length; /* bytes of that name; UINT16_MAX: too long to be any want's */
    uint16_t word_length; /* of the word under way, for `by`; saturates likewise */
    uint8_t want_count;
    uint8_t state;
    uint8_t current;  /* the want whose value is being read, or want_count */
    bool cr;          /* the byte before was a CR */
    bool open;        /* the line before belongs to a field, which may go on */
    bool name_spaced; /* white space was seen after the name under way */
    bool word_is_by, word_is_token, after_by, hit;
    bool value_begun; /* something other than white space was seen */
    bool capturing;
    bool done;      /* the empty line has come (or header_finish was called) */
    bool too_large; /* over LIMIT_HEADERS bytes or LIMIT_HEADER_FIELDS fields: nothing more is
                       captured */
    bool malformed; /* a line that is neither field nor continuation was skipped */
    bool bare;      /* a CR or LF on its own; it is captured as a space and ends nothing */
};

/*
 * Prepares *s to look for `count` wants (at most LIMIT_HEADER_WANTS; names distinct). `buffer`
 * takes the captured values and must stay valid as long as values are read;
 * LIMIT_HEADER_BUFFER bytes are a sensible capacity (at most UINT32_MAX / 2).
 */
void header_begin(struct header_scanner *s, const struct header_want *wants, unsigned count,
                  unsigned char *buffer, size_t capacity);

/*
 * Takes the next bytes of the message, cut anywhere, CRLF line ends, dots already unstuffed.
 * Returns how many belong to the header section: fewer than piece.n only when the section's
 * end (the empty line, counted in) was met; the rest is the body. 0 once `done`.
 *
 * Values are unfolded (RFC 5322 2.2.3: the CRLF goes, the white space stays), without white
 * space around, otherwise raw. White space between name and colon is tolerated (obs-optional).
 */
size_t header_feed(struct header_scanner *s, struct span piece);

/* The message is over. Needed where it may have ended within its header section. */
void header_finish(struct header_scanner *s);

/* The captured raw value of wants[i]; empty when there was none (see fields[i].count). Points
 * into the buffer; valid until the next header_feed. */
struct span header_value(const struct header_scanner *s, unsigned i);

/* Takes the next of joined values off *rest into *value; false when none is left. Works on the
 * raw value and on the decoded one alike. */
bool header_next_value(struct span *rest, struct span *value);

/* ---- 2. decoding (RFC 2047, RFC 2231 5) ------------------------------------------------- */

/*
 * Decodes an unfolded value into valid UTF-8 in out; returns its length. A result over
 * `capacity` is cut between characters and sets *truncated (which may be NULL); it is never set
 * to false. LIMIT_HEADER_DECODED bytes always suffice for LIMIT_HEADER_CAPTURE of input.
 *
 * As liberal as mail clients are, because a tag that the client shows must be seen:
 *   - an encoded word is decoded wherever it stands: in quotes, without white space around it,
 *     longer than 75 characters, with raw spaces in it; a stray "=" in Q stays itself;
 *   - white space between two encoded words is dropped; neighbours of the same charset are
 *     joined as bytes before conversion, so that a character may be split between them;
 *   - charset names in either case, with a language ("utf-8*de-CH").
 * Strict where that could only hide something: no closing "?=", an encoding other than B and Q,
 * an empty charset, or bytes outside of base64's alphabet leave the word as it is, literally.
 *
 * Charsets are tables of our own (a sandboxed process can open no iconv module): utf-8,
 * us-ascii, iso-8859-1, iso-8859-15, windows-1252. As in clients, us-ascii and iso-8859-1 are
 * read as windows-1252. Of an unknown charset ASCII is kept, each other byte becomes U+FFFD.
 * Text outside of encoded words is UTF-8 when the whole value is valid UTF-8 (its end may be cut),
 * else windows-1252; of joined values each for itself.
 *
 * Control characters: tab, CR and LF become a space, others U+FFFD; only the "\n" between
 * joined values (HEADER_JOIN) stays, and nothing is joined across it. No normalisation: a
 * look-alike such as U+FF1C is not "<".
 */
size_t header_decode(struct span value, unsigned char *out, size_t capacity, bool *truncated);

/* ---- 3. addresses ----------------------------------------------------------------------- */

/*
 * The domain of the first mailbox in a raw (not decoded) From or Sender value: comments, quoted
 * strings, the angle form with or without a source route, groups. Lower-cased (ASCII), without
 * white space, comments and trailing dot; a literal keeps its brackets. Where a display name
 * holds an "@" unquoted, the angle form decides. Returns the length, 0 when there is no domain
 * or it is over LIMIT_DOMAIN.
 */
size_t header_mailbox_domain(struct span value, unsigned char out[LIMIT_DOMAIN]);

/* The same for every mailbox of the list, so that a second author can't hide the first: takes the
 * next one off *rest; *length is 0 for a mailbox without a usable domain. False at the end. */
bool header_next_domain(struct span *rest, unsigned char out[LIMIT_DOMAIN], size_t *length);

#endif
