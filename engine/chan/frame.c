/* SPDX-License-Identifier: MIT */
/* Messages in a socket; see frame.h. */
#include "frame.h"

#include <forkmap/status.h>

#define LONGEST_SHORT UINT64_C(0x7fffffff)

static uint64_t read_number(const uint8_t *raw, int n)
{
    uint64_t number = 0;
    for (int i = 0; i < n; i++)
        number = number << 8 | raw[i];
    return number;
}

static void write_number(uint8_t *raw, int n, uint64_t number)
{
    for (int i = n - 1; i >= 0; i--, number >>= 8)
        raw[i] = (uint8_t)number;
}

static int is_long(const struct fmi_frame_header *h)
{
    return read_number(h->raw, FMI_FRAME_SHORT) == UINT32_MAX; /* -1 */
}

uint32_t fmi_frame_write(uint8_t raw[FMI_FRAME_LONG], uint64_t bytes)
{
    if (bytes <= LONGEST_SHORT) {
        write_number(raw, FMI_FRAME_SHORT, bytes);
        return FMI_FRAME_SHORT;
    }
    write_number(raw, FMI_FRAME_SHORT, UINT32_MAX);
    write_number(raw + FMI_FRAME_SHORT, FMI_FRAME_LONG - FMI_FRAME_SHORT, bytes);
    return FMI_FRAME_LONG;
}

uint32_t fmi_frame_missing(const struct fmi_frame_header *h)
{
    if (h->n < FMI_FRAME_SHORT)
        return FMI_FRAME_SHORT - h->n;
    return is_long(h) ? FMI_FRAME_LONG - h->n : 0;
}

int fmi_frame_length(const struct fmi_frame_header *h, uint64_t *bytes)
{
    *bytes = is_long(h) ? read_number(h->raw + FMI_FRAME_SHORT, FMI_FRAME_LONG - FMI_FRAME_SHORT)
                        : read_number(h->raw, FMI_FRAME_SHORT);
    uint64_t most = is_long(h) ? INT64_MAX : LONGEST_SHORT;
    return *bytes <= most ? 0 : FM_EFORMAT;
}
