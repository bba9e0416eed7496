/* SPDX-License-Identifier: MIT */
/* Names and objects in the heap; see manager.h. */
#include "manager.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the guard --------------------------------------------------------------------------------------- */

/* Whoever died with it left both tables whole (dict.h), and at most a pin too many. */
static int acquire_guard(struct fmi_manager_shm *m, int64_t deadline_ns)
{
    int rc = fmi_lock_acquire(&m->guard, deadline_ns);
    if (rc != 0 && rc != FM_EOWNERDEAD)
        return fmi_error(rc, "the manager's table of names is in use");
    /* relaxed: who moves it on has the guard */
    if (atomic_load_explicit(&m->state, memory_order_relaxed) == FMI_MANAGER_SERVING)
        return 0;
    (void)fmi_lock_release(&m->guard);
    return fmi_error(FM_ECLOSED, "the manager has ended");
}

static void release_guard(struct fmi_manager_shm *m)
{
    (void)fmi_lock_release(&m->guard);
}

/* An address in a table. Tables lie where anyone may write: what is no block of that size is not followed. */
static int find_block(fm_dict *table, const char *name, size_t bytes, void **out)
{
    void *block = NULL;
    fm_buf buf = fm_buf_of(&block, sizeof block);
    int rc = fm_dict_get(table, fm_text(name), &buf, FM_FOREVER);
    if (rc != 0)
        return rc;
    if (buf.bytes != sizeof block || !fmi_heap_contains(block, bytes))
        return fmi_error(FM_ECORRUPT, "the manager's entry of %s was overwritten", name);
    *out = block;
    return 0;
}

static int set_block(fm_dict *table, const char *name, void *block)
{
    int rc = fm_dict_setdefault(table, fm_text(name), fm_bytes_of(&block, sizeof block), NULL,
                                FM_FOREVER);
    return rc == 1 || rc == FM_ETOOLONG ? fmi_error(-EEXIST, "there is a %s already", name) : rc;
}

/* ---- objects ----------------------------------------------------------------------------------------- */

static void destroy(struct fmi_named_shm *named)
{
    const struct fmi_kind *kind = fmi_kind_at(named->kind);
    if (kind != NULL)
        kind->destroy(named->object);
    else
        (void)fmi_heap_free(named->object);
    (void)fmi_heap_free(named);
}

static int make_user_object(struct fmi_manager_shm *m, const char *type, int n_args,
                            struct fmi_named_shm *named)
{
    void *block;
    int rc = acquire_guard(m, FMI_NEVER);
    if (rc != 0)
        return rc;
    rc = find_block(m->types, type, sizeof(struct fmi_type_shm), &block);
    release_guard(m);
    if (rc == -ENOENT)
        return fmi_error(-EINVAL, "no such type: %s", type);
    if (rc != 0)
        return rc;
    if (n_args != 0)
        return fmi_error(-EINVAL, "a %s takes no arguments: its bytes are 0 at first", type);
    named->type = block;
    named->kind = FMI_NAMED_USER;
    return fmi_heap_alloc(&named->object, named->type->object_bytes, FMI_HEAP_ZERO);
}

static int make_object(struct fmi_manager_shm *m, const char *type, const fm_bytes *args,
                       int n_args, struct fmi_named_shm *named)
{
    int kind = fmi_kind_find(type);
    if (kind < 0)
        return make_user_object(m, type, n_args, named);
    named->kind = (uint32_t)kind;
    return fmi_kind_create(fmi_kind_at(named->kind), &named->object, args, n_args);
}

int fmi_registry_create(struct fmi_manager_shm *m, const char *name, const char *type,
                        const fm_bytes *args, int n_args, int64_t deadline_ns)
{
    void *block;
    int rc = fmi_heap_alloc(&block, sizeof(struct fmi_named_shm), FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_named_shm *named = block;
    fmi_lock_init(&named->lock);
    memcpy(named->type_name, type, strlen(type) + 1); /* the caller has looked how long it is */
    rc = make_object(m, type, args, n_args, named);
    if (rc != 0) {
        (void)fmi_heap_free(named);
        return rc;
    }
    FMI_FAULT("manager.create");
    rc = acquire_guard(m, deadline_ns);
    if (rc == 0) {
        rc = set_block(m->names, name, named);
        FMI_FAULT("manager.named");
        release_guard(m);
    }
    if (rc != 0)
        destroy(named);
    return rc;
}

int fmi_registry_pin(struct fmi_manager_shm *m, const char *name, struct fmi_named_shm **out)
{
    void *block;
    *out = NULL;
    int rc = acquire_guard(m, FMI_NEVER);
    if (rc != 0)
        return rc;
    rc = find_block(m->names, name, sizeof(struct fmi_named_shm), &block);
    if (rc == 0) {
        *out = block;
        /* relaxed: its name is there, and the guard is ours */
        atomic_fetch_add_explicit(&(*out)->pins, 1, memory_order_relaxed);
    }
    release_guard(m);
    return rc == -ENOENT ? fmi_error(rc, "no object %s", name) : rc;
}

void fmi_registry_unpin(struct fmi_named_shm *named)
{
    /* acq_rel: the last one sees what the others did; pairs with itself, and with let_go */
    if (atomic_fetch_sub_explicit(&named->pins, 1, memory_order_acq_rel) == (FMI_NAMED_DELETED | 1))
        destroy(named);
}

/* It has no name any more. */
static void let_go(struct fmi_named_shm *named)
{
    FMI_FAULT("manager.delete");
    /* acq_rel: pairs with fmi_registry_unpin */
    if (atomic_fetch_or_explicit(&named->pins, FMI_NAMED_DELETED, memory_order_acq_rel) == 0)
        destroy(named);
}

int fmi_registry_delete(struct fmi_manager_shm *m, const char *name)
{
    void *block = NULL;
    int rc = acquire_guard(m, FMI_NEVER);
    if (rc != 0)
        return rc;
    rc = find_block(m->names, name, sizeof(struct fmi_named_shm), &block);
    if (rc == 0)
        rc = fm_dict_delete(m->names, fm_text(name), FM_FOREVER);
    release_guard(m);
    if (rc == 0)
        let_go(block);
    return rc == -ENOENT ? fmi_error(rc, "no object %s", name) : rc;
}

static struct fmi_named_shm *named_of(fm_bytes value)
{
    struct fmi_named_shm *named = NULL;
    if (value.bytes == sizeof(void *))
        memcpy(&named, value.data, sizeof(void *));
    return fmi_heap_contains(named, sizeof *named) ? named : NULL;
}

int fmi_registry_list(struct fmi_manager_shm *m, fm_snapshot **out)
{
    fm_snapshot *names;
    *out = NULL;
    int rc = acquire_guard(m, FMI_NEVER);
    if (rc != 0)
        return rc;
    rc = fm_dict_items(m->names, &names, FM_FOREVER);
    fm_bytes *pairs = rc == 0 ? calloc(2 * (size_t)names->n + 1, sizeof *pairs) : NULL;
    for (int64_t i = 0; pairs != NULL && i < names->n; i++) {
        const struct fmi_named_shm *named = named_of(names->values[i]);
        pairs[2 * i] = names->keys[i];
        pairs[2 * i + 1] =
            named == NULL
                ? fm_text("?")
                : fm_bytes_of(named->type_name, strnlen(named->type_name, sizeof named->type_name));
    }
    if (pairs != NULL) /* with the guard: their texts are copied now */
        rc = fmi_request_snapshot(pairs, (uint32_t)(2 * names->n), 1, out);
    release_guard(m);
    if (rc == 0 && pairs == NULL)
        rc = fmi_error(-ENOMEM, "no memory for the names");
    free(pairs);
    fm_snapshot_free(names);
    return rc;
}

/* ---- types ------------------------------------------------------------------------------------------- */

static int describe_methods(struct fmi_type_shm *type, const fm_method *methods, int n)
{
    for (int i = 0; i < n; i++) {
        struct fmi_type_method_shm *to = &type->methods[i];
        if (methods[i].name == NULL || methods[i].fn == NULL)
            return fmi_error(-EINVAL, "method %d of %d has no name, or no function", i, n);
        int rc = fmi_request_text(fm_text(methods[i].name), to->name, sizeof to->name, "a method");
        for (int k = 0; k < i && rc == 0; k++)
            if (strcmp(type->methods[k].name, to->name) == 0)
                rc = fmi_error(-EINVAL, "%s is there twice", to->name);
        if (rc == 0)
            rc = fmi_function_describe(NULL, (const void *)(uintptr_t)methods[i].fn, &to->function);
        if (rc != 0)
            return rc;
    }
    type->n_methods = (uint32_t)n;
    return 0;
}

int fmi_registry_register(struct fmi_manager_shm *m, const char *name, const fm_method *methods,
                          int n, size_t object_bytes)
{
    void *block;
    if (fmi_kind_find(name) >= 0)
        return fmi_error(-EEXIST, "%s is a type of the library's", name);
    int rc = fmi_heap_alloc(
        &block, sizeof(struct fmi_type_shm) + (size_t)n * sizeof(struct fmi_type_method_shm),
        FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_type_shm *type = block;
    type->object_bytes = object_bytes;
    rc = describe_methods(type, methods, n);
    if (rc == 0)
        rc = acquire_guard(m, FMI_NEVER);
    if (rc == 0) {
        rc = set_block(m->types, name, type);
        release_guard(m);
    }
    if (rc != 0)
        (void)fmi_heap_free(type);
    return rc;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* Nobody finds an object any more: those who have pins destroy what they have. Types stay for them, until the record goes. */
void fmi_registry_end(struct fmi_manager_shm *m)
{
    fm_snapshot *names;
    if (acquire_guard(m, FMI_NEVER) != 0)
        return;
    /* relaxed: with the guard */
    atomic_store_explicit(&m->state, FMI_MANAGER_ENDED, memory_order_relaxed);
    release_guard(m);
    FMI_FAULT("manager.end");
    if (fm_dict_items(m->names, &names, FM_FOREVER) != 0) {
        fmi_log(FM_LOG_WARNING, "objects of a manager stay taken: %s", fm_error_detail());
        return;
    }
    for (int64_t i = 0; i < names->n; i++) {
        struct fmi_named_shm *named = named_of(names->values[i]);
        if (named != NULL)
            let_go(named);
    }
    fm_snapshot_free(names);
}
