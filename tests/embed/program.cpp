/* SPDX-License-Identifier: MIT */
/* A program outside the tree, in C++17: templates in FM_CHUNK_FN, options, scope ends, a lambda as item function. */
#include <forkmap/forkmap.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace
{

template <class A, class B> B half_root(A x)
{
    return static_cast<B>(std::sqrt(x)) / 2;
}
FM_CHUNK_FN(roots, double, float, half_root<double, float>(x))

int complain(const char *what, int rc)
{
    std::fprintf(stderr, "%s: %s: %s\n", what, fm_errname(rc), fm_error_detail());
    return 1;
}

int check_roots(fm_pool *pool, fm_array *in, fm_array *out)
{
    const auto *x = static_cast<const double *>(fm_array_data(in));
    const auto *y = static_cast<const float *>(fm_array_data(out));
    const int rc = fm_pool_map_chunks(pool, roots, in, out, FM_MAP_OPTS(.chunk = 100));
    if (rc != 0)
        return complain("map_chunks", rc);
    const bool same = std::equal(x, x + fm_array_len(in), y, [](double a, float b) {
        return half_root<double, float>(a) == b;
    });
    return same ? 0 : complain("a wrong root", 0);
}

int check_crash(fm_pool *pool, fm_array *in, fm_array *out)
{
    auto crash = [](const void *item, void *, void *) -> int {
        if (*static_cast<const double *>(item) == 7)
            std::abort();
        return 0;
    };
    fm_failure f;
    const int rc = fm_pool_map(pool, crash, in, out, nullptr);
    if (rc != FM_ECRASHED || fm_pool_failures(pool, &f, 1) != 1 || f.item != 7)
        return complain("a crash at item 7 was expected", rc);
    std::printf("item %lld: %s\n", static_cast<long long>(f.item), fm_item_state_name(f.state));
    return 0;
}

} // namespace

int main()
{
    FM_AUTO(fm_pool) pool = nullptr;
    FM_AUTO(fm_array) in = nullptr;
    FM_AUTO(fm_array) out = nullptr;
    const int64_t n = 10007;
    int workers = 2;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers + 1));
    if (rc == 0)
        rc = fm_array_arange(&in, FM_F64, 0, static_cast<double>(n), 1);
    if (rc == 0)
        rc = fm_array_create(&out, FM_F32, 1, &n, FM_ARRAY_OPTS(.zero = 1));
    if (rc != 0)
        return complain("setting up", rc);
    return check_roots(pool, in, out) != 0 || check_crash(pool, in, out) != 0;
}
