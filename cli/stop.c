/* SPDX-License-Identifier: MIT */
/* The flag that SIGINT, SIGTERM and SIGHUP set. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_signal;

static void note_signal(int number)
{
    stop_signal = number;
}

void fmc_stop_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before;
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue; /* nohup, or a shell's background job */
        struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&action.sa_mask);
        sigaction(signals[i], &action, NULL);
    }
    /* A reader that goes away must not leave half an output: the write fails and the end is in order. */
    signal(SIGPIPE, SIG_IGN);
}

int fmc_stop_signal(void)
{
    return stop_signal;
}

void fmc_stop_note(int number)
{
    if (number > 0)
        stop_signal = number;
}
