/* SPDX-License-Identifier: MIT */
#include "forksafe.h"

#include <dirent.h>
#include <stddef.h>

int fmi_forksafe_is_clean(void)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e = tasks == NULL ? NULL : readdir(tasks); e != NULL; e = readdir(tasks))
        n += e->d_name[0] != '.';
    if (tasks != NULL)
        closedir(tasks);
    return n <= 1;
}
