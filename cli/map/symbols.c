/* SPDX-License-Identifier: MIT */
/*
 * Looks at a library's file before it is loaded, and at the dynamic symbol table that the loader has mapped.
 * 64-bit only, as the library is. Source: System V gABI, chapters 4 and 5; the GNU hash section.
 */
#include "symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *check_segments(int fd, uint64_t file_bytes)
{
    Elf64_Ehdr head;
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(Elf64_Phdr))
        return NULL; /* the loader refuses it, with better words */
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t end;
        const off_t at = (off_t)(head.e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return "it was cut short";
        if (segment.p_type == PT_LOAD &&
            (__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) || end > file_bytes))
            return "it was cut short";
    }
    return NULL;
}

const char *fmc_symbols_refuse_file(const char *path)
{
    struct stat s;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerror(errno);
    const char *why = "it is not a regular file";
    if (fstat(fd, &s) != 0)
        why = strerror(errno);
    else if (S_ISREG(s.st_mode))
        why = check_segments(fd, (uint64_t)s.st_size);
    close(fd);
    return why;
}

struct tables {
    const Elf64_Sym *symbols;
    const char *strings;
    const uint32_t *hash;     /* DT_HASH */
    const uint32_t *gnu_hash; /* DT_GNU_HASH */
};

/* Most loaders relocate these addresses in place, some leave them as they are in the file. */
static const void *locate(const struct link_map *map, Elf64_Addr address)
{
    const Elf64_Addr absolute = address < map->l_addr ? address + map->l_addr : address;
    return (const void *)absolute;
}

static struct tables find_tables(const struct link_map *map)
{
    struct tables t = {0};
    for (const Elf64_Dyn *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            t.symbols = locate(map, d->d_un.d_ptr);
        else if (d->d_tag == DT_STRTAB)
            t.strings = locate(map, d->d_un.d_ptr);
        else if (d->d_tag == DT_HASH)
            t.hash = locate(map, d->d_un.d_ptr);
        else if (d->d_tag == DT_GNU_HASH)
            t.gnu_hash = locate(map, d->d_un.d_ptr);
    }
    return t;
}

/* The GNU table does not say how many symbols there are: the last one ends the last chain. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
    const uint32_t n_buckets = table[0], first = table[1], n_bloom = table[2];
    const uint32_t *buckets = table + 4 + n_bloom * (sizeof(Elf64_Addr) / sizeof(uint32_t));
    const uint32_t *chains = buckets + n_buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < n_buckets; i++)
        if (buckets[i] > last)
            last = buckets[i];
    if (last < first)
        return first;
    while ((chains[last - first] & 1) == 0)
        last++;
    return last + 1;
}

void fmc_symbols_each(void *handle, void (*each)(const char *name, void *arg), void *arg)
{
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == NULL)
        return;
    const struct tables t = find_tables(map);
    uint32_t n = 0;
    if (t.hash != NULL)
        n = t.hash[1];
    else if (t.gnu_hash != NULL)
        n = count_by_gnu_hash(t.gnu_hash);
    if (t.symbols == NULL || t.strings == NULL)
        return;
    for (uint32_t i = 1; i < n; i++) {
        const Elf64_Sym *s = &t.symbols[i];
        if (s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
            ELF64_ST_BIND(s->st_info) != STB_LOCAL)
            each(t.strings + s->st_name, arg);
    }
}

int fmc_symbols_is_data(const void *address)
{
    Dl_info info;
    void *entry = NULL;
    if (dladdr1(address, &info, &entry, RTLD_DL_SYMENT) == 0 || entry == NULL)
        return 0;
    const int type = ELF64_ST_TYPE(((const Elf64_Sym *)entry)->st_info);
    return type == STT_OBJECT || type == STT_COMMON || type == STT_TLS;
}
