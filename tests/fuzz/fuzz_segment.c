/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the check of a named segment's header, which is a pure function. An input is
 *
 *      0:  | file_bytes (8) | how (1) | header ... |
 *
 * how & 1: the checksum is made right, so that what lies behind it is reached. The header's bytes are also tried as a name.
 */
#include "fuzz.h"

#include "segment.h"

#include <errno.h>
#include <forkmap/status.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 9, PAGE_BYTES = 4096, OWNER = 1000, FILL = 0x5a };

static void check_header(const struct fmi_segment_file *file, const uint8_t *bytes, size_t n)
{
    struct fmi_segment_shm out, untouched;
    memset(&out, FILL, sizeof out);
    untouched = out;
    int rc = fmi_segment_check(file, bytes, n, &out);
    FUZZ_EXPECT(rc == 0 || rc == FM_ECORRUPT || rc == -EAGAIN);
    FUZZ_EXPECT((rc == -EAGAIN) == (n == 0));
    if (rc != 0) {
        FUZZ_EXPECT(memcmp(&out, &untouched, sizeof out) == 0);
        FUZZ_EXPECT(strstr(fm_error_detail(), file->name) != NULL);
        return;
    }
    FUZZ_EXPECT(memcmp(&out, bytes, sizeof out) == 0);
    FUZZ_EXPECT(out.header_bytes == PAGE_BYTES && out.data_bytes > 0 && out.uid == OWNER);
    FUZZ_EXPECT(out.data_bytes <= INT64_MAX - PAGE_BYTES && out.pid > 0 && out.created_ns >= 0);
    if (out.state == FMI_SEGMENT_READY)
        FUZZ_EXPECT(file->bytes == PAGE_BYTES + out.data_bytes);
    else
        FUZZ_EXPECT(out.state == FMI_SEGMENT_MAKING && file->bytes <= PAGE_BYTES + out.data_bytes);
}

static void check_name(const uint8_t *bytes, size_t n)
{
    char *given = malloc(n + 1);
    if (given == NULL)
        return;
    memcpy(given, bytes, n);
    given[n] = '\0';
    const char *name = fmi_segment_parse_name(given);
    if (name != NULL) {
        FUZZ_EXPECT(name == given || (name == given + 1 && *given == '/'));
        FUZZ_EXPECT(strlen(name) > 0 && strlen(name) <= 255 && strchr(name, '/') == NULL);
        FUZZ_EXPECT(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    }
    free(given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fmi_segment_shm sealed;
    struct fmi_segment_file file = {.name = "fuzz", .uid = OWNER, .page_bytes = PAGE_BYTES};
    if (n < PREFIX_BYTES)
        return 0;
    memcpy(&file.bytes, data, sizeof file.bytes);
    const uint8_t *header = data + PREFIX_BYTES;
    n -= PREFIX_BYTES;
    check_name(header, n);
    if ((data[8] & 1) != 0 && n >= sizeof sealed) {
        memcpy(&sealed, header, sizeof sealed);
        fmi_segment_seal(&sealed);
        check_header(&file, (const uint8_t *)&sealed, sizeof sealed);
    } else {
        check_header(&file, header, n);
    }
    return 0;
}
