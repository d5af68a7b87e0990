/* json.h: as much of a JSON reader as the vectors need, for the runners in C and C++.
 *
 * One line in, a tree out: objects, arrays, strings, whole numbers, true, false, null. Ends the program with a message
 * when a line is anything else: a vector that cannot be read is never passed over. Not a JSON library: strings have the
 * escapes that the file uses, and no \u. */
#ifndef VECTORS_JSON_H
#define VECTORS_JSON_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum json_kind { JSON_NULL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_BOOL };

typedef struct json {
    enum json_kind kind;
    long long number; /* JSON_BOOL: 0 or 1 */
    char *text;       /* JSON_STRING */
    char **keys;      /* JSON_OBJECT: one for each item */
    struct json *items;
    size_t count;
} json;

static inline void json_die(const char *what, const char *at) {
    fprintf(stderr, "vectors: %s at: %.60s\n", what, at);
    exit(2);
}

static inline void *json_memory(void *old, size_t len) {
    void *memory = realloc(old, len == 0 ? 1 : len);
    if (memory == NULL) json_die("no memory", "");
    return memory;
}

static inline const char *json_space(const char *at) {
    while (isspace((unsigned char)*at)) at++;
    return at;
}

static inline const char *json_string(const char *at, char **text) {
    size_t len = 0;
    if (*at++ != '"') json_die("a string is wanted", at);
    *text = (char *)json_memory(NULL, strlen(at) + 1);
    while (*at != '"') {
        if (*at == '\\') {
            at++;
            if (*at != '"' && *at != '\\' && *at != '/') json_die("an escape that is not known", at);
        }
        if (*at == '\0') json_die("a string without an end", at);
        (*text)[len++] = *at++;
    }
    (*text)[len] = '\0';
    return at + 1;
}

static inline const char *json_read(const char *at, json *value) {
    memset(value, 0, sizeof *value);
    at = json_space(at);
    if (*at == '{' || *at == '[') {
        const char end = *at == '{' ? '}' : ']';
        value->kind = *at == '{' ? JSON_OBJECT : JSON_ARRAY;
        at = json_space(at + 1);
        while (*at != end) {
            value->items = (json *)json_memory(value->items, (value->count + 1) * sizeof *value->items);
            if (value->kind == JSON_OBJECT) {
                value->keys = (char **)json_memory(value->keys, (value->count + 1) * sizeof *value->keys);
                at = json_space(json_string(at, &value->keys[value->count]));
                if (*at++ != ':') json_die("a colon is wanted", at);
            }
            at = json_space(json_read(at, &value->items[value->count++]));
            if (*at == ',') at = json_space(at + 1);
            else if (*at != end) json_die("a comma or an end is wanted", at);
        }
        return at + 1;
    }
    if (*at == '"') {
        value->kind = JSON_STRING;
        return json_string(at, &value->text);
    }
    if (strncmp(at, "null", 4) == 0) return at + 4;
    value->kind = JSON_BOOL;
    if (strncmp(at, "false", 5) == 0) return at + 5;
    value->number = 1;
    if (strncmp(at, "true", 4) == 0) return at + 4;
    {
        char *end = NULL;
        value->kind = JSON_NUMBER;
        value->number = strtoll(at, &end, 10);
        if (end == at || *end == '.' || *end == 'e') json_die("a whole number is wanted", at);
        return end;
    }
}

static inline void json_free(json *value) {
    size_t i;
    for (i = 0; i < value->count; i++) {
        json_free(&value->items[i]);
        if (value->keys != NULL) free(value->keys[i]);
    }
    free(value->items);
    free(value->keys);
    free(value->text);
    memset(value, 0, sizeof *value);
}

/* The member of that name; NULL if there is none. */
static inline const json *json_get(const json *object, const char *key) {
    size_t i;
    for (i = 0; i < object->count; i++)
        if (strcmp(object->keys[i], key) == 0) return &object->items[i];
    return NULL;
}

/* The text of a member that may be missing. */
static inline const char *json_text(const json *object, const char *key, const char *missing) {
    const json *member = json_get(object, key);
    return member == NULL ? missing : member->text;
}

static inline long long json_number(const json *object, const char *key) {
    const json *member = json_get(object, key);
    if (member == NULL || member->kind != JSON_NUMBER) json_die("a number is missing", key);
    return member->number;
}

#endif /* VECTORS_JSON_H */
