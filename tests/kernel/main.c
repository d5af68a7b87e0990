/* main.c: all subjects of the tests with real kernels. */
#include "subjects.h"

int main(int argc, char **argv) {
    static const struct check_subject *const subjects[] = {
        &subject_power, &subject_room, &subject_broken, &subject_limits, &subject_bits,
    };
    return check_main(argc, argv, subjects, sizeof subjects / sizeof *subjects);
}
