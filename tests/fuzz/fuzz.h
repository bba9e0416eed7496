/* SPDX-License-Identifier: MIT */
#ifndef T_FUZZ_H
#define T_FUZZ_H

/*
 * A fuzz target is one function over bytes, fuzz_TARGET.c. With libFuzzer it is a program that makes up inputs (./dev fuzz); with replay.c one
 * that runs those of corpus/TARGET, which is an ordinary test. What breaks an expectation, or a sanitizer, is a find: it goes into the corpus.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FUZZ_EXPECT(condition)                                                                     \
    ((condition)                                                                                   \
         ? (void)0                                                                                 \
         : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), abort()))

#endif
