/* subjects.h: one subject per file of tests. */
#ifndef SUBJECTS_H
#define SUBJECTS_H

#include "check.h"

extern const struct check_subject subject_about, subject_abuse, subject_basics, subject_border, subject_close, subject_cursor,
    subject_errors, subject_fork, subject_full_disk, subject_guest, subject_kill, subject_packed, subject_salvage, subject_set_with,
    subject_threads, subject_ttl, subject_views;

#endif /* SUBJECTS_H */
