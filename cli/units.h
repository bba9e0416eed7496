/* SPDX-License-Identifier: MIT */
#ifndef FMC_UNITS_H
#define FMC_UNITS_H

/* Numbers for people: "1.2M", "3.4 ms", "0:03", "512 MiB". Each writes at most `cap` bytes with the NUL. */

#include <stddef.h>
#include <stdint.h>

void fmc_units_count(char *text, size_t cap, double count);     /* 812, 8.1k, 28k, 1.2M */
void fmc_units_seconds(char *text, size_t cap, double seconds); /* 3.42 us, 12.3 ms, 4.56 s */
void fmc_units_clock(char *text, size_t cap,
                     double seconds); /* 0:03, 12:34, 1:02:03; --:-- if negative */
void fmc_units_bytes(char *text, size_t cap, int64_t bytes); /* 96 B, 1.5 KiB, 512 MiB */

#endif
