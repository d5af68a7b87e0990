/* hello.c: the smallest whole program. cc hello.c -I include -llarder */
#include "larder.h"

#include <stdio.h>

int main(void) {
    larder *db = NULL;
    larder_error err;
    void *value = NULL;
    size_t len = 0;
    int found = 0;
    if (larder_open("pantry", NULL, &db, &err) == LARDER_OK && larder_set(db, "jam", 3, "apricot", 7, &err) == LARDER_OK &&
        larder_get(db, "jam", 3, &value, &len, &err) == LARDER_OK) {
        printf("jam: %.*s\n", (int)len, (const char *)value);
        found = 1;
    } else {
        fprintf(stderr, "hello: %s\n", err.message);
    }
    larder_free(value);
    return larder_close(db, NULL) == LARDER_OK && found ? 0 : 1;
}
