/* SPDX-License-Identifier: MIT */
#ifndef FMI_SYMBOL_H
#define FMI_SYMBOL_H

/*
 * The function that an address of a program or library lies in, by its file: by .symtab, which has static functions too, or, in a stripped file, by .dynsym.
 * Nothing in the file is trusted: it may be another one by now. 64-bit ELF of this machine's byte order only, as the library is.
 * Source: System V gABI, chapter 4.
 */

#include <stddef.h>
#include <stdint.h>

/* The name, and how far behind its begin the address lies. 0; -ENOENT: the file does not say, or is none; -errno. */
int fmi_symbol_find(const char *path, uint64_t address, char *name, size_t cap, uint64_t *offset);

#endif
