/* runner.h: what check.c and runner.c share; nothing for tests. */
#ifndef RUNNER_H
#define RUNNER_H

enum { CHECK_EXIT_SKIPPED = 77 };

/* Failed claims of this process. */
extern _Atomic int check_failures;

/* "subject: test" of the test that runs. */
extern char check_test_name[256];

/* Frees `allocated` when the test is over. Not for threads. */
void check_keep(void *allocated);

#endif /* RUNNER_H */
