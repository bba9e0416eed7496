/* SPDX-License-Identifier: MIT */
#ifndef FMI_FORKSAFE_H
#define FMI_FORKSAFE_H
int fmi_forksafe_is_clean(void);
#endif
