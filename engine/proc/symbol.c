/* SPDX-License-Identifier: MIT */
/* Symbol tables of ELF files, read with pread() and bounds; see symbol.h. */
#include "symbol.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { SYMBOLS_AT_A_TIME = 512 };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define THIS_ORDER ELFDATA2LSB
#else
#define THIS_ORDER ELFDATA2MSB
#endif

struct file {
    int fd;
    uint64_t bytes;
    Elf64_Ehdr head;
};

/* 0; -ENOENT: so many bytes are not there. */
static int read_at(const struct file *f, uint64_t at, void *to, size_t bytes)
{
    if (at > f->bytes || bytes > f->bytes - at)
        return -ENOENT;
    return pread(f->fd, to, bytes, (off_t)at) == (ssize_t)bytes ? 0 : -ENOENT;
}

static int open_file(struct file *f, const char *path)
{
    struct stat s;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        return -errno;
    if (fstat(f->fd, &s) != 0 || !S_ISREG(s.st_mode))
        return -ENOENT;
    f->bytes = (uint64_t)s.st_size;
    const unsigned char *id = f->head.e_ident;
    int rc = read_at(f, 0, &f->head, sizeof f->head);
    if (rc == 0 && (id[0] != ELFMAG0 || id[1] != ELFMAG1 || id[2] != ELFMAG2 || id[3] != ELFMAG3 ||
                    id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != THIS_ORDER ||
                    f->head.e_shentsize != sizeof(Elf64_Shdr)))
        rc = -ENOENT;
    return rc;
}

static int read_section(const struct file *f, uint32_t number, Elf64_Shdr *out)
{
    uint64_t at;
    if (number >= f->head.e_shnum ||
        __builtin_add_overflow(f->head.e_shoff, (uint64_t)number * sizeof *out, &at))
        return -ENOENT;
    return read_at(f, at, out, sizeof *out);
}

static int find_section(const struct file *f, uint32_t type, Elf64_Shdr *out)
{
    for (uint32_t i = 0; i < f->head.e_shnum; i++)
        if (read_section(f, i, out) == 0 && out->sh_type == type)
            return 0;
    return -ENOENT;
}

static int holds(const Elf64_Sym *s, uint64_t address)
{
    int type = ELF64_ST_TYPE(s->st_info);
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF &&
           address >= s->st_value && address - s->st_value < s->st_size;
}

static int search(const struct file *f, const Elf64_Shdr *table, uint64_t address, Elf64_Sym *out)
{
    Elf64_Sym *block = malloc(SYMBOLS_AT_A_TIME * sizeof *block);
    uint64_t n = table->sh_size / sizeof *block, at = 0;
    int rc = block == NULL ? -ENOMEM : 0, is_found = 0;
    for (uint64_t i = 0; i < n && rc == 0 && !is_found; i += SYMBOLS_AT_A_TIME) {
        size_t count = n - i < SYMBOLS_AT_A_TIME ? (size_t)(n - i) : SYMBOLS_AT_A_TIME;
        rc = __builtin_add_overflow(table->sh_offset, i * sizeof *block, &at)
                 ? -ENOENT
                 : read_at(f, at, block, count * sizeof *block);
        for (size_t k = 0; k < count && rc == 0 && !is_found; k++)
            if ((is_found = holds(&block[k], address)))
                *out = block[k];
    }
    free(block);
    return rc != 0 ? rc : is_found ? 0 : -ENOENT;
}

/* As much of it as there is, and room for. */
static int read_name(const struct file *f, const Elf64_Shdr *strings, uint32_t at, char *name,
                     size_t cap)
{
    uint64_t begin;
    if (at >= strings->sh_size || __builtin_add_overflow(strings->sh_offset, at, &begin) ||
        begin >= f->bytes)
        return -ENOENT;
    uint64_t left = strings->sh_size - at, in_file = f->bytes - begin;
    size_t bytes = cap - 1;
    bytes = left < bytes ? (size_t)left : bytes;
    bytes = in_file < bytes ? (size_t)in_file : bytes;
    int rc = read_at(f, begin, name, bytes);
    name[rc == 0 ? bytes : 0] = '\0';
    for (char *c = name; *c != '\0'; c++) /* it may be shown on a terminal */
        if (iscntrl((unsigned char)*c))
            *c = '?';
    return rc != 0 ? rc : name[0] == '\0' ? -ENOENT : 0;
}

static int find_in(const struct file *f, uint32_t type, uint64_t address, char *name, size_t cap,
                   uint64_t *offset)
{
    Elf64_Shdr table = {0}, strings = {0};
    Elf64_Sym symbol = {0};
    int rc = find_section(f, type, &table);
    if (rc == 0)
        rc = read_section(f, table.sh_link, &strings);
    if (rc == 0)
        rc = search(f, &table, address, &symbol);
    if (rc == 0)
        rc = read_name(f, &strings, symbol.st_name, name, cap);
    if (rc == 0)
        *offset = address - symbol.st_value;
    return rc;
}

int fmi_symbol_find(const char *path, uint64_t address, char *name, size_t cap, uint64_t *offset)
{
    struct file f = {.fd = -1};
    int rc = open_file(&f, path);
    if (rc == 0 && (rc = find_in(&f, SHT_SYMTAB, address, name, cap, offset)) == -ENOENT)
        rc = find_in(&f, SHT_DYNSYM, address, name, cap, offset);
    if (f.fd >= 0)
        close(f.fd);
    if (rc != 0)
        name[0] = '\0';
    return rc;
}
