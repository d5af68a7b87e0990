/* Prints the value of one key: get DIRECTORY KEY */
#include "larder.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    larder *db = NULL;
    larder_error err;
    void *value = NULL;
    size_t len = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: get DIRECTORY KEY\n");
        return 2;
    }
    int status = larder_open(argv[1], NULL, &db, &err);
    if (status == LARDER_OK) {
        status = larder_get(db, argv[2], strlen(argv[2]), &value, &len, &err);
    }
    if (status == LARDER_OK) {
        printf("%.*s\n", (int)len, (const char *)value);
    } else {
        fprintf(stderr, "get: %s\n", err.message);
    }
    larder_free(value);
    larder_close(db, NULL);
    return status == LARDER_OK ? 0 : 1;
}
