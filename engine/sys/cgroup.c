/* SPDX-License-Identifier: MIT */
/* Control groups: where this process is, and what the files on the way up say. See cgroup.h. */
#include "cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 16384, MAX_FIELDS = 32 };

/* Version 1 writes "no limit" as 2^63 rounded down to a page. */
#define NO_LIMIT_BYTES ((int64_t)1 << 60)

/* Paths of the process's groups inside their hierarchies; "": none. */
struct membership {
    char cpu[FMI_CGROUP_PATH_BYTES];
    char memory[FMI_CGROUP_PATH_BYTES];
    char unified[FMI_CGROUP_PATH_BYTES];
};

/* One line of mountinfo, as far as it matters. */
struct mount {
    char *root, *point, *type, *options;
};

/* ---- text ------------------------------------------------------------------------------------ */

/* Reads a small file whole, up to `cap` - 1 bytes. Returns 1, or 0 if there is none. */
static int read_text(const char *dir, const char *name, char *text, size_t cap)
{
    char path[FMI_CGROUP_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t length = 0;
    ssize_t got;
    do {
        got = read(fd, text + length, cap - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    close(fd);
    text[length] = '\0';
    return got == 0 && length > 0;
}

/* A number that is followed by white space or the end. Returns 1, or 0 for "max" and garbage. */
static int parse_number(const char *text, int64_t *value, const char **rest)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0 || (*end != '\0' && !isspace((unsigned char)*end)))
        return 0;
    *value = number;
    *rest = end;
    return 1;
}

static int read_number(const char *dir, const char *name, int64_t *value)
{
    char text[64];
    const char *rest;
    return read_text(dir, name, text, sizeof text) && parse_number(text, value, &rest);
}

/* The number behind `key` in "key number" lines. */
static int find_key(const char *text, const char *key, int64_t *value)
{
    size_t n_key = strlen(key);
    const char *rest;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n_key) == 0 && line[n_key] == ' ')
            return parse_number(line + n_key + 1, value, &rest);
    }
    return 0;
}

static int read_keyed(const char *dir, const char *name, const char *key, int64_t *value)
{
    char text[TEXT_BYTES];
    return read_text(dir, name, text, sizeof text) && find_key(text, key, value);
}

/* Whether `word` is an item of a list with commas: "cpu" is in "rw,cpu,cpuacct", not in "cpuset". */
static int list_has(const char *list, const char *word)
{
    size_t n_word = strlen(word);
    for (const char *item = list; item != NULL; item = strchr(item, ',')) {
        item += *item == ',';
        if (strncmp(item, word, n_word) == 0 && (item[n_word] == ',' || item[n_word] == '\0'))
            return 1;
    }
    return 0;
}

static void copy_path(char *out, const char *path)
{
    if (strlen(path) < FMI_CGROUP_PATH_BYTES)
        strcpy(out, path); /* NOLINT: measured on the line above */
}

/* ---- where the process is -------------------------------------------------------------------- */

static FILE *open_proc(const char *root, const char *name)
{
    char path[FMI_CGROUP_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/proc/self/%s", root, name);
    return n < 0 || (size_t)n >= sizeof path ? NULL : fopen(path, "re");
}

/* "4:cpu,cpuacct:/user.slice" (version 1) or "0::/user.slice" (version 2). */
static void parse_membership(char *line, struct membership *m)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || path[1] != '/')
        return;
    *path++ = '\0';
    controllers++;
    path[strcspn(path, "\n")] = '\0';
    if (*controllers == '\0')
        copy_path(m->unified, path);
    if (list_has(controllers, "cpu"))
        copy_path(m->cpu, path);
    if (list_has(controllers, "memory"))
        copy_path(m->memory, path);
}

static void read_membership(const char *root, struct membership *m)
{
    char *line = NULL;
    size_t cap = 0;
    m->cpu[0] = m->memory[0] = m->unified[0] = '\0';
    FILE *file = open_proc(root, "cgroup");
    if (file == NULL)
        return;
    while (getline(&line, &cap, file) > 0)
        parse_membership(line, m);
    free(line);
    fclose(file);
}

/* ---- where that is mounted -------------------------------------------------------------------- */

/* The kernel writes blanks and backslashes in paths as three octal digits. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *c = text; *c != '\0'; c++) {
        if (c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
            c[3] >= '0' && c[3] <= '7') {
            *out++ = (char)((c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0'));
            c += 3;
        } else {
            *out++ = *c;
        }
    }
    *out = '\0';
}

/* "31 23 0:28 ROOT POINT rw,relatime shared:1 - TYPE source OPTIONS"; any number of fields before "-". */
static int parse_mount(char *line, struct mount *mount)
{
    char *fields[MAX_FIELDS], *rest = line;
    int n = 0, dash = 0;
    for (char *field; n < MAX_FIELDS && (field = strsep(&rest, " \n")) != NULL; n++) {
        fields[n] = field;
        if (dash == 0 && n >= 6 && strcmp(field, "-") == 0)
            dash = n;
    }
    if (dash == 0 || dash + 3 >= n)
        return 0;
    *mount = (struct mount){fields[3], fields[4], fields[dash + 1], fields[dash + 3]};
    unescape(mount->root);
    unescape(mount->point);
    return 1;
}

/* What of `path` lies below `top`: "/b" for "/a/b" below "/a"; NULL if it does not, or climbs out. */
static const char *path_below(const char *path, const char *top)
{
    size_t n_top = strcmp(top, "/") == 0 ? 0 : strlen(top);
    const char *below = path + n_top;
    if (strncmp(path, top, n_top) != 0 || (*below != '\0' && *below != '/') ||
        strstr(path, "/..") != NULL || strstr(top, "/..") != NULL)
        return NULL;
    return strcmp(below, "/") == 0 ? "" : below;
}

/*
 * Takes a mount for the group `path` if it shows more of the way up than the one before. A mount that does
 * not show the group at all (a container without its own cgroup name space) shows at its top what the
 * container was given, which is the best to be had.
 */
static void consider_mount(struct fmi_cgroup_dir *dir, size_t *score, const char *root,
                           const struct mount *mount, const char *path)
{
    if (path[0] == '\0')
        return;
    const char *below = path_below(path, mount->root);
    size_t new_score = below == NULL ? 1 : 2 + strlen(below);
    if (new_score <= *score)
        return;
    int n = snprintf(dir->path, sizeof dir->path, "%s%s%s", root, mount->point,
                     below == NULL ? "" : below);
    if (n < 0 || (size_t)n >= sizeof dir->path) {
        dir->path[0] = '\0';
        return;
    }
    dir->mount_bytes = strlen(root) + strlen(mount->point);
    *score = new_score;
}

static void find_mounts(const char *root, const struct membership *m, struct fmi_cgroup *c)
{
    size_t cpu_score = 0, memory_score = 0, unified_score = 0, cap = 0;
    char *line = NULL;
    struct mount mount;
    c->cpu.path[0] = c->memory.path[0] = c->unified.path[0] = '\0';
    FILE *file = open_proc(root, "mountinfo");
    if (file == NULL)
        return;
    while (getline(&line, &cap, file) > 0) {
        if (!parse_mount(line, &mount))
            continue;
        int is_v1 = strcmp(mount.type, "cgroup") == 0;
        if (is_v1 && list_has(mount.options, "cpu"))
            consider_mount(&c->cpu, &cpu_score, root, &mount, m->cpu);
        if (is_v1 && list_has(mount.options, "memory"))
            consider_mount(&c->memory, &memory_score, root, &mount, m->memory);
        if (strcmp(mount.type, "cgroup2") == 0)
            consider_mount(&c->unified, &unified_score, root, &mount, m->unified);
    }
    free(line);
    fclose(file);
}

void fmi_sys_cgroup_find(const char *root, struct fmi_cgroup *c)
{
    struct membership m;
    read_membership(root, &m);
    find_mounts(root, &m, c);
}

/*
 * This process's groups. Finding the mounts costs most, and they do not move; the membership can change
 * (a batch system, a test) and is read each time. Nobody waits for the lock: a child forked while another
 * thread held it would wait for ever.
 */
static void find_own(struct fmi_cgroup *c)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct membership known;
    static struct fmi_cgroup found;
    static int is_known;
    struct membership now;
    read_membership("", &now);
    if (pthread_mutex_trylock(&lock) != 0) {
        find_mounts("", &now, c);
        return;
    }
    if (!is_known || strcmp(now.cpu, known.cpu) != 0 || strcmp(now.memory, known.memory) != 0 ||
        strcmp(now.unified, known.unified) != 0) {
        find_mounts("", &now, &found);
        known = now;
        is_known = 1;
    }
    *c = found;
    pthread_mutex_unlock(&lock);
}

/* ---- the walk up ------------------------------------------------------------------------------ */

/* Goes from a group to the one above. Returns 0 at the mount point. */
static int climb(struct fmi_cgroup_dir *dir)
{
    char *slash = strrchr(dir->path, '/');
    if (slash == NULL || slash < dir->path + dir->mount_bytes)
        return 0;
    *slash = '\0';
    return 1;
}

/* Cores of `quota` per `period`, rounded up; 0 for none (-1 in version 1) and garbage. */
static int quota_cores(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    int64_t cores = quota / period + (quota % period != 0);
    return cores > INT_MAX ? INT_MAX : (int)cores;
}

static int read_quota_v1(const char *dir)
{
    int64_t quota, period;
    if (!read_number(dir, "cpu.cfs_quota_us", &quota) ||
        !read_number(dir, "cpu.cfs_period_us", &period))
        return 0;
    return quota_cores(quota, period);
}

static int read_quota_v2(const char *dir)
{
    char text[64];
    const char *rest;
    int64_t quota, period;
    if (!read_text(dir, "cpu.max", text, sizeof text) || !parse_number(text, &quota, &rest) ||
        !parse_number(rest, &period, &rest))
        return 0;
    return quota_cores(quota, period);
}

/* The smallest quota from `dir` upwards and `least`, 0 being none. */
static int smallest_quota(const struct fmi_cgroup_dir *dir, int (*read_quota)(const char *dir),
                          int least)
{
    if (dir->path[0] == '\0')
        return least;
    struct fmi_cgroup_dir at = *dir;
    do {
        int quota = read_quota(at.path);
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
    } while (climb(&at));
    return least;
}

int fmi_sys_cgroup_cpu_quota_of(const struct fmi_cgroup *c)
{
    return smallest_quota(&c->unified, read_quota_v2, smallest_quota(&c->cpu, read_quota_v1, 0));
}

struct memory_files {
    const char *limit, *usage, *cache; /* `cache` is a key of memory.stat */
};
static const struct memory_files memory_v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file"};
static const struct memory_files memory_v2 = {"memory.max", "memory.current", "inactive_file"};

static int64_t read_memory_left(const char *dir, const struct memory_files *files)
{
    int64_t limit, usage, cache = 0;
    if (!read_number(dir, files->limit, &limit) || limit < 0 || limit >= NO_LIMIT_BYTES ||
        !read_number(dir, files->usage, &usage) || usage < 0)
        return INT64_MAX;
    if (!read_keyed(dir, "memory.stat", files->cache, &cache) || cache < 0)
        cache = 0;
    int64_t used = usage > cache ? usage - cache : 0; /* the two are not read at one instant */
    return limit > used ? limit - used : 0;
}

static int64_t smallest_left(const struct fmi_cgroup_dir *dir, const struct memory_files *files,
                             int64_t least)
{
    if (dir->path[0] == '\0')
        return least;
    struct fmi_cgroup_dir at = *dir;
    do {
        int64_t left = read_memory_left(at.path, files);
        least = left < least ? left : least;
    } while (climb(&at));
    return least;
}

int64_t fmi_sys_cgroup_memory_left_of(const struct fmi_cgroup *c)
{
    return smallest_left(&c->unified, &memory_v2, smallest_left(&c->memory, &memory_v1, INT64_MAX));
}

/* The nearest count on the way up: version 2 has none where the memory controller is not delegated. -1: there is none. */
static int open_nearest_kills(const struct fmi_cgroup_dir *dir, const char *name)
{
    int64_t kills;
    char path[FMI_CGROUP_PATH_BYTES];
    if (dir->path[0] == '\0')
        return -1;
    struct fmi_cgroup_dir at = *dir;
    do {
        int n = snprintf(path, sizeof path, "%s/%s", at.path, name);
        if (n > 0 && (size_t)n < sizeof path && read_keyed(at.path, name, "oom_kill", &kills) &&
            kills >= 0)
            return open(path, O_RDONLY | O_CLOEXEC);
    } while (climb(&at));
    return -1;
}

void fmi_sys_oom_counter_open_of(struct fmi_oom_counter *counter, const struct fmi_cgroup *c)
{
    *counter = (struct fmi_oom_counter){{open_nearest_kills(&c->memory, "memory.oom_control"),
                                         open_nearest_kills(&c->unified, "memory.events")}};
}

/* Both files are a few short lines. */
static uint64_t read_kills(int fd)
{
    char text[512];
    int64_t kills;
    ssize_t length = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return find_key(text, "oom_kill", &kills) && kills >= 0 ? (uint64_t)kills : 0;
}

uint64_t fmi_sys_oom_counter_read(const struct fmi_oom_counter *counter)
{
    return read_kills(counter->fds[0]) + read_kills(counter->fds[1]);
}

void fmi_sys_oom_counter_close(struct fmi_oom_counter *counter)
{
    for (int i = 0; i < 2; i++)
        if (counter->fds[i] >= 0)
            close(counter->fds[i]);
}

int fmi_sys_cgroup_cpu_quota(void)
{
    struct fmi_cgroup c;
    find_own(&c);
    return fmi_sys_cgroup_cpu_quota_of(&c);
}

int64_t fmi_sys_cgroup_memory_left(void)
{
    struct fmi_cgroup c;
    find_own(&c);
    return fmi_sys_cgroup_memory_left_of(&c);
}

void fmi_sys_cgroup_prepare(void)
{
    static _Atomic int is_done; /* twice does no harm */
    struct fmi_cgroup c;
    if (atomic_exchange(&is_done, 1) == 0)
        find_own(&c);
}

void fmi_sys_oom_counter_open(struct fmi_oom_counter *counter)
{
    struct fmi_cgroup c;
    find_own(&c);
    fmi_sys_oom_counter_open_of(counter, &c);
}
