/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_STATUS_H
#define FORKMAP_STATUS_H

/**
 * @file status.h
 * Status codes, timeouts and the marks that every public header uses.
 */
/**
 * @defgroup fm_codes Codes and times
 * Status codes, timeouts, and what every other part uses.
 *
 * Every function that can fail returns an `int`: 0, a negative `errno` value, or one of the codes
 * below, which lie under -4095 and so never meet an `errno`.
 * @{
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* For FM_OPTS(): the address of options that live until the end of the call. */
extern "C++" template <class T> const T *fm_addr(const T &&value)
{
    return &value;
}
extern "C" {
#endif

#define FM_API       __attribute__((visibility("default")))
#define FM_NODISCARD __attribute__((warn_unused_result))

/*
 * The address of an option struct that lives until the end of the call: FM_POOL_OPTS(.workers = 4) and the like.
 * C++ takes no address of a compound literal. It has designated initializers since C++20, in the order of the members,
 * and as an extension of gcc and clang before; the lambda is there because only statements may silence a warning.
 */
#ifdef __cplusplus
#define FM_OPTS(type, ...)                                                                         \
    (fm_addr(__extension__([&] {                                                                   \
        _Pragma("GCC diagnostic push")                                                             \
            _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"") return type{        \
                .struct_size = sizeof(type), __VA_ARGS__};                                         \
        _Pragma("GCC diagnostic pop")                                                              \
    }())))
#else
#define FM_OPTS(type, ...) (&(type){.struct_size = sizeof(type), __VA_ARGS__})
#endif

/** One list for the enum, the names and the texts: X(name, value, text). */
#define FM_STATUS_LIST(X)                                                                          \
    X(FM_ETASK, -4096, "a function returned non-zero")                                             \
    X(FM_ECRASHED, -4097, "a worker died inside a function")                                       \
    X(FM_ETIMEOUT, -4098, "an item passed its time limit")                                         \
    X(FM_ECANCELLED, -4099, "cancelled before it was finished")                                    \
    X(FM_ECLOSED, -4100, "closed to new work, or the other end is gone")                           \
    X(FM_EOWNERDEAD, -4101, "lock acquired; its last owner died holding it")                       \
    X(FM_EBROKEN, -4102, "broken: a barrier; or a pool that has no warden, or gets no workers")    \
    X(FM_EFORKED, -4103, "the handle belongs to another process")                                  \
    X(FM_ECORRUPT, -4104, "shared data does not have the right layout")                            \
    X(FM_EAUTH, -4105, "wrong key")                                                                \
    X(FM_EFORMAT, -4106, "malformed file or frame")                                                \
    X(FM_ETOOLONG, -4107, "message longer than the buffer")                                        \
    X(FM_ENOTREADY, -4108, "the result is not ready")                                              \
    X(FM_EOOM, -4109, "a worker was killed for want of memory")                                    \
    X(FM_EINIT, -4110, "a worker could not start: its initializer failed or it died")              \
    X(FM_ESTALE, -4111, "not of what the caller has loaded: a function's file, or a journal")      \
    X(FM_ENOFUNC, -4112, "no such function")                                                       \
    X(FM_EUNSAFE, -4113, "a fork is not safe in this process: it has other threads")               \
    X(FM_ENOINIT, -4114, "the start method needs fm_init(argc, argv) as the first thing in main")  \
    X(FM_EREMOTE, -4115, "the object's memory is not in this process: use fm_manager_call")

#define FM_STATUS_ENUM(name, value, text) name = (value),
/** The codes of forkmap's own; fm_strerror() has their texts. */
enum fm_status { FM_STATUS_LIST(FM_STATUS_ENUM) };
#undef FM_STATUS_ENUM

/* Timeouts are nanoseconds on the monotonic clock [ns]. An expired one gives `-ETIMEDOUT`. */
#define FM_FOREVER    ((int64_t)-1)        /**< timeout: none */
#define FM_NOWAIT     ((int64_t)0)         /**< timeout: try, and do not wait */
#define FM_SECONDS(x) ((int64_t)((x)*1e9)) /**< so many seconds in [ns] */
#define FM_MS(x)      ((int64_t)((x)*1e6)) /**< so many milliseconds in [ns] */
#define FM_US(x)      ((int64_t)((x)*1e3)) /**< so many microseconds in [ns] */

/**
 * The text of a code, in English.
 * @param code  0, a negative errno, or an `FM_E...` code
 * @return a text that lives for ever; never NULL
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_strerror(int code);

/**
 * The name of a code: "FM_ETASK", "ENOMEM", "OK".
 * @param code  as for fm_strerror()
 * @return a text that lives for ever; "?" for a code that does not exist
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_errname(int code);

/**
 * What the last failed call of this thread had to say beyond its code: sizes, paths, the remedy.
 * @return a text without newline, valid until the next failed call of this thread; "" if none
 * Undefined: after a call that succeeded the text is still that of the failure before it.
 * Blocks / thread-safety: never; one text per thread.
 * Source: dlerror(3).
 */
FM_API const char *fm_error_detail(void);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
