/* main.c: all subjects of the program that is linked with the library. */
#include "subjects.h"

int main(int argc, char **argv) {
    static const struct check_subject *const subjects[] = {
        &subject_about, &subject_basics, &subject_ttl,     &subject_set_with, &subject_packed,
        &subject_views, &subject_cursor, &subject_errors,  &subject_close,    &subject_abuse,
        &subject_border, &subject_guest, &subject_fork,   &subject_threads, &subject_kill,     &subject_full_disk,
        &subject_salvage,
    };
    return check_main(argc, argv, subjects, sizeof subjects / sizeof *subjects);
}
