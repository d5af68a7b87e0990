/* costs.c: the border of C, which is none: the loop that the other languages are held against. See costs.h. */
#include "costs.h"
#include "larderx.h"

static void must(larder_status status, const larder_error *err) {
    if (status == LARDER_OK) return;
    larderx_print_error(stderr, "costs", err);
    exit(1);
}

int main(int argc, char **argv) {
    static const char *const options[] = {"sync", "none", NULL};
    static const char value[VALUE_LEN];
    char buffer[VALUE_LEN];
    double best[3] = {0, 0, 0};
    uint64_t count, n;
    larder *db = NULL;
    larder_error err;
    char *keys;
    if (argc != 3) return 2;
    count = strtoull(argv[1], NULL, 10) / GROUP * GROUP;
    keys = (char *)malloc(count * KEY_LEN + 1);
    for (n = 0; n < count; n++) costs_key(keys + n * KEY_LEN, n);
    must(larderx_open(argv[2], options, &db, &err), &err);
    for (int round = 0; round < ROUNDS; round++) {
        larderx_batch batch = LARDERX_BATCH_INIT;
        larderx_keys asked = LARDERX_KEYS_INIT;
        larderx_answers answers = LARDERX_ANSWERS_INIT;
        double start = costs_now();
        for (n = 0; n < count; n++) {
            larderx_batch_set(&batch, keys + n * KEY_LEN, KEY_LEN, value, VALUE_LEN, 0);
            if (n % GROUP == GROUP - 1) must(larderx_batch_write(&batch, db, 0, &err), &err);
        }
        costs_best(&best[2], start, count);
        start = costs_now();
        for (n = 0; n < count; n++) {
            size_t need = 0;
            must(larder_get_into(db, keys + costs_shuffled(n, count) * KEY_LEN, KEY_LEN, buffer, sizeof buffer, &need, &err), &err);
        }
        costs_best(&best[0], start, count);
        start = costs_now();
        for (n = 0; n < count; n++) {
            larderx_keys_add(&asked, keys + costs_shuffled(n, count) * KEY_LEN, KEY_LEN);
            if (n % GROUP == GROUP - 1) {
                larder_status status;
                const void *found;
                size_t len;
                must(larderx_get_many(db, &asked, &answers, &err), &err);
                while (larderx_answers_next(&answers, &status, &found, &len))
                    if (status != LARDER_OK || len != VALUE_LEN) exit(1);
                larderx_keys_reset(&asked);
            }
        }
        costs_best(&best[1], start, count);
        larderx_batch_free(&batch);
        larderx_keys_free(&asked);
        larderx_answers_free(&answers);
    }
    must(larder_close(db, &err), &err);
    free(keys);
    printf("C %.0f %.0f %.0f\n", best[0], best[1], best[2]);
    return 0;
}
