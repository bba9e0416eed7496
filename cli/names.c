/* SPDX-License-Identifier: MIT */
/* Edit distance, for "did you mean". */
#include "names.h"

#include <stddef.h>
#include <string.h>

#define LONGEST 63

static int least(int a, int b, int c)
{
    const int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Source: Damerau 1964 in the optimal string alignment form; three rows of the matrix are enough. */
static int count_edits(const char *a, int n, const char *b, int m)
{
    int rows[3][LONGEST + 1];
    for (int j = 0; j <= m; j++)
        rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3];
        const int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            const int differs = a[i - 1] != b[j - 1];
            now[j] = least(now[j - 1] + 1, last[j] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[n % 3][m];
}

int fmc_names_distance(const char *word, const char *name)
{
    const size_t n = strlen(word), m = strlen(name);
    if (n >= 3 && m >= 3 && (strstr(name, word) != NULL || strstr(word, name) != NULL))
        return strcmp(word, name) != 0;
    if (n == 0 || m == 0 || n > LONGEST || m > LONGEST)
        return FMC_NAMES_FAR;
    const int edits = count_edits(word, (int)n, name, (int)m);
    /* Replacing most letters of a short word makes any other: that is no likeness. */
    return 2 * edits > (int)(n > m ? n : m) ? FMC_NAMES_FAR : edits;
}

const char *fmc_names_nearest(const char *word, const char *const *names, int n)
{
    const char *nearest = NULL;
    int distance = FMC_NAMES_FAR;
    for (int i = 0; i < n; i++) {
        const int d = fmc_names_distance(word, names[i]);
        if (d < distance) {
            distance = d;
            nearest = names[i];
        }
    }
    return nearest;
}
