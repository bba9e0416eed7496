/* SPDX-License-Identifier: MIT */
#ifndef FMI_RLIMITS_H
#define FMI_RLIMITS_H

/* What a process may have (getrlimit), and errors that name the limit, its number and the remedy. */

/*
 * Returns rc. If it may come of a limit, -EMFILE, -EAGAIN or -ENOMEM, the detail of this thread's failure gets the limit's number and the command that
 * changes it.
 */
int fmi_rlimits_explain(int rc);

/* Whether n more descriptors can be opened: 0; -EMFILE (detail). Nothing stays open. */
int fmi_rlimits_check_descriptors(int n, const char *what_for);

#endif
