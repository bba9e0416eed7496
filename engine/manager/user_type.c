/* SPDX-License-Identifier: MIT */
/* Methods of types of one's own: they run here, in the server, one at a time for each object; see manager.h. */
#include "manager.h"

#include "clock.h"
#include "error.h"
#include "fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SLICE_NS FM_MS(100)

static const struct fmi_type_method_shm *find_method(const struct fmi_type_shm *type, fm_bytes name)
{
    for (uint32_t i = 0; i < type->n_methods && i < FM_MANAGER_MAX_METHODS; i++)
        if (strnlen(type->methods[i].name, sizeof type->methods[i].name) == name.bytes &&
            memcmp(type->methods[i].name, name.data, name.bytes) == 0)
            return &type->methods[i];
    return NULL;
}

/* A lock that its dead holder left: a server's thread ends in a method only with the server, or by the method's own doing. The next method finds what it left. */
static int acquire(struct fmi_named_shm *named, int64_t deadline_ns,
                   const struct fmi_caller *caller)
{
    for (;;) {
        int64_t slice_ns = fmi_deadline_after(SLICE_NS);
        int rc = fmi_lock_acquire(&named->lock, deadline_ns < slice_ns ? deadline_ns : slice_ns);
        if (rc != -ETIMEDOUT)
            return rc == FM_EOWNERDEAD ? 0 : rc;
        if (deadline_ns <= slice_ns)
            return fmi_error(rc, "another method of the object runs");
        if (caller->is_gone(caller->arg))
            return fmi_error(FM_ECLOSED, "the client has gone, or the manager ends");
    }
}

int fmi_user_call(struct fmi_named_shm *named, fm_bytes name, const struct fmi_call *call,
                  const struct fmi_caller *caller)
{
    const struct fmi_type_method_shm *method = find_method(named->type, name);
    fm_snapshot *args = NULL; /* aligned, each with a NUL behind it */
    void *address;
    if (method == NULL)
        return fmi_error(-ENOSYS, "%s has no method %.*s", named->type_name,
                         (int)(name.bytes & 0xff), (const char *)name.data);
    int rc = fmi_function_resolve(&method->function, &address);
    if (rc == 0)
        rc = fmi_request_snapshot(call->args, (uint32_t)call->n, 0, &args);
    if (rc == 0)
        rc = acquire(named, fmi_deadline_of(call->timeout), caller);
    if (rc == 0) {
        fm_method_fn *fn = (fm_method_fn *)(uintptr_t)address;
        FMI_FAULT("manager.method");
        rc = fn(named->object, args->values, call->n, call->reply);
        (void)fmi_lock_release(&named->lock);
    }
    fm_snapshot_free(args);
    return rc;
}
