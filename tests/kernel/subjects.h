/* subjects.h: one subject per file of tests. */
#ifndef SUBJECTS_H
#define SUBJECTS_H

#include "check.h"

extern const struct check_subject subject_power, subject_room, subject_broken, subject_limits, subject_bits;

#endif /* SUBJECTS_H */
