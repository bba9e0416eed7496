/* SPDX-License-Identifier: MIT */
/* Function identity over dl_iterate_phdr and dlopen; see module.h. */
#include "module.h"

#include "error.h"
#include "forklock.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct module {
    uintptr_t base, begin, end; /* load address, and the bounds of its segments */
    int is_program, id_is_files;
    uint32_t id_bytes;
    uint8_t id[FMI_BUILD_ID_BYTES];
    char path[PATH_MAX];
};

static struct fmi_forklock lock = FMI_FORKLOCK;

struct fmi_modules {
    int n;
    struct known { /* what is needed to know a module again */
        uintptr_t base, begin, end;
        uint32_t id_bytes;
        uint8_t id[FMI_BUILD_ID_BYTES];
    } known[];
};

/* Not while this process forks: glibc makes the lock of the list of loaded objects not new in a child. */
int fmi_modules_iterate(int (*see)(struct dl_phdr_info *info, size_t bytes, void *arg), void *arg)
{
    fmi_forklock_acquire(&lock);
    int rc = dl_iterate_phdr(see, arg);
    fmi_forklock_release(&lock);
    return rc;
}

void fmi_modules_hold(void)
{
    fmi_forklock_acquire(&lock);
}

void fmi_modules_let_go(void)
{
    fmi_forklock_release(&lock);
}

static void find_build_id(const struct dl_phdr_info *info, const ElfW(Phdr) * segment,
                          struct module *out)
{
    const char *note = (const char *)(info->dlpi_addr + segment->p_vaddr);
    const char *end = note + segment->p_memsz;
    while (end - note >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *header = (const ElfW(Nhdr) *)note;
        const char *name = note + sizeof *header;
        const char *bytes = name + (header->n_namesz + 3) / 4 * 4;
        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
            memcmp(name, "GNU", 4) == 0 && header->n_descsz <= sizeof out->id) {
            out->id_bytes = header->n_descsz;
            memcpy(out->id, bytes, header->n_descsz);
            return;
        }
        note = bytes + (header->n_descsz + 3) / 4 * 4;
    }
}

/* The file's identity, for modules without a build-id. */
static void use_file_identity(struct module *m)
{
    struct stat status;
    if (stat(m->path, &status) != 0)
        return;
    uint64_t identity[5] = {(uint64_t)status.st_dev, (uint64_t)status.st_ino,
                            (uint64_t)status.st_size, (uint64_t)status.st_mtim.tv_sec,
                            (uint64_t)status.st_mtim.tv_nsec};
    m->id_bytes = sizeof identity;
    m->id_is_files = 1;
    memcpy(m->id, identity, sizeof identity);
}

/* The file that is mapped at `address`, as the kernel names it: absolute, and with " (deleted)" behind it if it has been replaced. */
static int find_mapped_path(uintptr_t address, char path[PATH_MAX])
{
    char *line = NULL;
    size_t bytes = 0;
    int found = 0, begins_at;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && getline(&line, &bytes, maps) > 0) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &begin, &end, &begins_at) != 2 ||
            address < begin || address >= end)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, PATH_MAX, "%s", line + begins_at);
        found = path[0] == '/';
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* Not by its path, since the file there may be another one by now. */
static int is_replaced(const struct module *m)
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX];
    size_t length, tail = sizeof deleted - 1;
    return find_mapped_path(m->begin, path) && (length = strlen(path)) > tail &&
           strcmp(path + length - tail, deleted) == 0;
}

static void set_path(struct module *m, const char *name)
{
    char path[PATH_MAX], mapped[PATH_MAX];
    const char *given = name[0] != '\0' ? name : "/proc/self/exe";
    if (given[0] != '/' &&
        find_mapped_path(m->begin, mapped)) /* relative to an earlier directory */
        given = mapped;
    if (realpath(given, path) == NULL)
        snprintf(path, sizeof path, "%s", given);
    snprintf(m->path, sizeof m->path, "%s", path);
}

static void read_segments(const struct dl_phdr_info *info, struct module *m)
{
    *m = (struct module){.base = info->dlpi_addr, .begin = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_NOTE)
            find_build_id(info, segment, m);
        if (segment->p_type != PT_LOAD)
            continue;
        if (begin < m->begin)
            m->begin = begin;
        if (begin + segment->p_memsz > m->end)
            m->end = begin + segment->p_memsz;
    }
}

struct search {
    uintptr_t address;
    const char *path; /* search by path when address is 0; "": the program */
    struct module *found;
    int n_seen, hit;
};

static int match_module(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct search *search = arg;
    struct module *m = search->found;
    int is_program = search->n_seen++ == 0; /* dl_iterate_phdr begins with it */
    (void)bytes;
    read_segments(info, m);
    m->is_program = is_program;
    if (search->address != 0 && (search->address < m->begin || search->address >= m->end))
        return 0;
    if (search->address == 0 && is_program != (*search->path == '\0'))
        return 0;
    set_path(m, info->dlpi_name);
    if (search->address == 0 && !is_program && strcmp(search->path, m->path) != 0)
        return 0;
    if (m->id_bytes == 0)
        use_file_identity(m);
    search->hit = 1;
    return 1;
}

static int find_module(uintptr_t address, const char *path, struct module *out)
{
    struct search search = {.address = address, .path = path, .found = out};
    fmi_modules_iterate(match_module, &search);
    return search.hit;
}

static int count_module(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)info;
    (void)bytes;
    ++*(int *)arg;
    return 0;
}

struct filling {
    struct fmi_modules *modules;
    int capacity;
};

static int add_module(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct filling *filling = arg;
    struct module m;
    (void)bytes;
    if (filling->modules->n == filling->capacity)
        return 1;
    read_segments(info, &m);
    if (m.id_bytes == 0) {
        set_path(&m, info->dlpi_name);
        use_file_identity(&m);
    }
    struct known *known = &filling->modules->known[filling->modules->n++];
    *known = (struct known){.base = m.base, .begin = m.begin, .end = m.end, .id_bytes = m.id_bytes};
    memcpy(known->id, m.id, sizeof known->id);
    return 0;
}

int fmi_modules_snapshot(struct fmi_modules **out)
{
    int n = 0;
    fmi_modules_iterate(count_module, &n);
    struct filling filling = {.capacity = n};
    *out = filling.modules = calloc(1, sizeof **out + (size_t)n * sizeof(struct known));
    if (*out == NULL)
        return -ENOMEM;
    fmi_modules_iterate(add_module, &filling);
    return 0;
}

void fmi_modules_free(struct fmi_modules *modules)
{
    free(modules);
}

int fmi_modules_in_program(const struct fmi_modules *modules, const void *function)
{
    if (modules == NULL || modules->n == 0)
        return 0;
    const struct known *program = &modules->known[0]; /* dl_iterate_phdr begins with it */
    return (uintptr_t)function >= program->begin && (uintptr_t)function < program->end;
}

static int read_generation(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes;
    *(uint64_t *)arg = (uint64_t)info->dlpi_adds + (uint64_t)info->dlpi_subs;
    return 1; /* the first module tells it for all */
}

uint64_t fmi_modules_generation(void)
{
    uint64_t generation = 0;
    fmi_modules_iterate(read_generation, &generation);
    return generation;
}

static int was_loaded(const struct fmi_modules *modules, const struct module *m)
{
    for (int i = 0; i < modules->n; i++) {
        const struct known *known = &modules->known[i];
        if (known->base == m->base && known->begin == m->begin && known->end == m->end &&
            known->id_bytes == m->id_bytes && memcmp(known->id, m->id, m->id_bytes) == 0)
            return 1;
    }
    return 0;
}

int fmi_function_describe(const struct fmi_modules *at_fork, const void *function,
                          struct fmi_function_shm *out)
{
    struct module m;
    if (!find_module((uintptr_t)function, NULL, &m))
        return fmi_error(FM_ENOFUNC, "%p lies in no loaded program or library", function);
    *out =
        (struct fmi_function_shm){.offset = (uintptr_t)function - m.base, .id_bytes = m.id_bytes};
    memcpy(out->id, m.id, sizeof out->id);
    if (at_fork != NULL && was_loaded(at_fork, &m)) {
        out->address = (uintptr_t)function;
        return 0;
    }
    if (m.is_program)
        return 0;
    if (m.id_is_files && is_replaced(&m))
        return fmi_error(FM_ESTALE, "%s has been replaced since it was opened, and has no build-id",
                         m.path);
    if (strlen(m.path) >= sizeof out->path)
        return fmi_error(FM_ENOFUNC, "the path of the function's library is too long: %s", m.path);
    memcpy(out->path, m.path, strlen(m.path) + 1);
    return 0;
}

static int open_module(const struct fmi_function_shm *described, struct module *out)
{
    if (find_module(0, described->path, out))
        return 0;
    if (described->path[0] == '\0')
        return fmi_error(FM_ENOFUNC, "the program is not to be found in this process");
    if (dlopen(described->path, RTLD_NOW | RTLD_LOCAL) == NULL)
        return fmi_error(FM_ENOFUNC, "%s", dlerror());
    if (!find_module(0, described->path, out))
        return fmi_error(FM_ENOFUNC, "%s was opened under another name", described->path);
    return 0;
}

int fmi_function_resolve(const struct fmi_function_shm *described, void **out)
{
    struct module m;
    *out = (void *)(uintptr_t)described->address;
    if (described->address != 0)
        return 0;
    int rc = open_module(described, &m);
    if (rc != 0)
        return rc;
    if (m.id_bytes != described->id_bytes || memcmp(m.id, described->id, m.id_bytes) != 0)
        return fmi_error(FM_ESTALE, "%s has changed since the caller loaded it",
                         described->path[0] == '\0' ? m.path : described->path);
    *out = (void *)(m.base + described->offset);
    return 0;
}
