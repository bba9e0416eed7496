/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target on each file of the folders given: replay FOLDER... */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* In memory of its very size, so that a sanitizer sees a read behind it. */
static int run_file(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        perror(path);
        return 1;
    }
    size_t n = (size_t)st.st_size;
    uint8_t *bytes = malloc(n > 0 ? n : 1);
    int is_read = bytes != NULL && fread(bytes, 1, n, file) == n;
    fclose(file);
    if (is_read) {
        printf("%s\n", path); /* the last one before a crash is the culprit */
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, n);
    }
    free(bytes);
    return !is_read;
}

static int run_folder(const char *folder, int *n_files)
{
    char path[PATH_MAX];
    int rc = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        rc |= run_file(path);
        *n_files += 1;
    }
    closedir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0, n_files = 0;
    for (int i = 1; i < argc; i++)
        rc |= run_folder(argv[i], &n_files);
    printf("%d inputs\n", n_files);
    return rc != 0 || n_files == 0;
}
