/*
 * language.h: the languages of languages.def as numbers.
 */
#ifndef MGID_LANGUAGE_H
#define MGID_LANGUAGE_H

enum language {
#define LANGUAGE(NAME, tag) LANGUAGE_##NAME,
#include "languages.def"
#undef LANGUAGE
    LANGUAGE_COUNT
};

#endif
