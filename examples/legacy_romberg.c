/* SPDX-License-Identifier: MIT */
/*
 * romberg - an integral by Romberg's rule (Romberg 1955; Bauer, Algorithm 60, CACM 4, 1961):
 *
 *     from .. to of exp(-DAMPING x) cos(FREQUENCY x) dx
 *
 * It is as such code was written: the job is a line of text, taken apart by strtok(); what the integrand needs, the table of the rule and the count of
 * evaluations are static; the answer lies in static memory, as that of asctime(), and is overwritten by the next call. Two threads cannot call it at the
 * same time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 16
#define TOL  1e-12

static double freq, damp;    /* of the integrand */
static double t[ROWS][ROWS]; /* the table */
static double evals;         /* calls of the integrand */
static char line[81];        /* the job */
static double answer[3];     /* value, error, evaluations */

static double f(double x)
{
    evals = evals + 1;
    return exp(-damp * x) * cos(freq * x);
}

static double word(char *text)
{
    char *w = strtok(text, " ");
    return w ? atof(w) : 0;
}

/* job: "FROM TO FREQUENCY DAMPING" */
double *romberg(const char *job)
{
    double from, to, h, sum, p;
    long i, n = 1;
    int j, k;
    strncpy(line, job, sizeof line - 1);
    from = word(line);
    to = word(0);
    freq = word(0);
    damp = word(0);
    evals = 0;
    h = to - from;
    t[0][0] = h * (f(from) + f(to)) / 2;
    for (k = 1; k < ROWS; k++) {
        for (sum = 0, i = 0; i < n; i++)
            sum += f(from + (i + 0.5) * h);
        t[k][0] = (t[k - 1][0] + h * sum) / 2;
        h = h / 2;
        n = n * 2;
        for (p = 4, j = 1; j <= k; j++, p *= 4)
            t[k][j] = t[k][j - 1] + (t[k][j - 1] - t[k - 1][j - 1]) / (p - 1);
        answer[0] = t[k][k];
        answer[1] = fabs(t[k][k] - t[k - 1][k - 1]);
        answer[2] = evals;
        if (k > 4 && answer[1] <= TOL)
            break;
    }
    return answer;
}
