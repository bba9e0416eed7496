/* SPDX-License-Identifier: MIT */
/* What a manager's server, or a client, makes of bytes that come: a message whose fields are all of it, or none; and one that is, written again, is the same bytes. */
#include "fuzz.h"

#include "request.h"

#include <forkmap/status.h>
#include <string.h>

static void check_fields(const struct fmi_request *r, const uint8_t *data, size_t n)
{
    size_t all = FMI_REQUEST_HEADER_BYTES;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        const uint8_t *at = r->fields[i].data;
        FUZZ_EXPECT(at == data + all + 8);
        FUZZ_EXPECT(r->fields[i].bytes <= n - all - 8);
        all += 8 + r->fields[i].bytes;
    }
    FUZZ_EXPECT(all == n);
}

static void check_snapshot(const struct fmi_request *r, int is_paired)
{
    fm_snapshot *s;
    int rc = fmi_request_snapshot(r->fields, r->n_fields, is_paired, &s);
    FUZZ_EXPECT(rc == (is_paired && r->n_fields % 2 != 0 ? FM_EFORMAT : 0));
    if (rc == 0)
        FUZZ_EXPECT(s->n == (is_paired ? r->n_fields / 2 : r->n_fields));
    fm_snapshot_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fmi_request r;
    void *again;
    size_t n_again;
    int rc = fmi_request_decode(&r, data, n);
    FUZZ_EXPECT(rc == 0 || rc == FM_EFORMAT);
    if (rc != 0) {
        FUZZ_EXPECT(r.fields == NULL);
        return 0;
    }
    check_fields(&r, data, n);
    check_snapshot(&r, 0);
    check_snapshot(&r, 1);
    FUZZ_EXPECT(fmi_request_encode(&r, n - 1, &again, &n_again) == FM_ETOOLONG);
    FUZZ_EXPECT(fmi_request_encode(&r, n, &again, &n_again) == 0);
    FUZZ_EXPECT(n_again == n && memcmp(again, data, n) == 0);
    free(again);
    if (r.op == FMI_REQUEST_REPLY)
        (void)fmi_request_code(&r);
    fmi_request_clear(&r);
    return 0;
}
