! SPDX-License-Identifier: MIT
! The C library as Fortran sees it: constants, structs and functions of include/forkmap, under their names. What each
! means is told there. Module forkmap has what a program uses.
module forkmap_c
  use, intrinsic :: iso_c_binding
  implicit none
  public

  integer(c_int64_t), parameter :: FM_FOREVER = -1_c_int64_t, FM_NOWAIT = 0_c_int64_t

  integer(c_int), parameter :: FM_ETASK = -4096, FM_ECRASHED = -4097, FM_ETIMEOUT = -4098, &
    FM_ECANCELLED = -4099, FM_ECLOSED = -4100, FM_EOWNERDEAD = -4101, FM_EBROKEN = -4102, &
    FM_EFORKED = -4103, FM_ECORRUPT = -4104, FM_EAUTH = -4105, FM_EFORMAT = -4106, &
    FM_ETOOLONG = -4107, FM_ENOTREADY = -4108, FM_EOOM = -4109, FM_EINIT = -4110, &
    FM_ESTALE = -4111, FM_ENOFUNC = -4112, FM_EUNSAFE = -4113, FM_ENOINIT = -4114, &
    FM_EREMOTE = -4115
  integer(c_int), parameter :: FM_EINVAL = -22, FM_EBUSY = -16, FM_ENOMEM = -12, FM_ETIMEDOUT = -110

  integer(c_int), parameter :: FM_PIN_CORE = 1, FM_PIN_SPREAD = 2, FM_PIN_COMPACT = 3, FM_PIN_NONE = 4
  integer(c_int), parameter :: FM_CALLER_SLEEPS = 1, FM_CALLER_WORKS = 2, FM_CALLER_ONLY = 3
  integer(c_int), parameter :: FM_SCHEDULE_AUTO = 1, FM_SCHEDULE_STATIC = 2, FM_SCHEDULE_DYNAMIC = 3, &
    FM_SCHEDULE_GUIDED = 4
  integer(c_int), parameter :: FM_ON_ERROR_STOP = 1, FM_ON_ERROR_CONTINUE = 2
  integer(c_int), parameter :: FM_ITEM_DONE = 1, FM_ITEM_FAILED = 2, FM_ITEM_CRASHED = 3, &
    FM_ITEM_TIMEOUT = 4, FM_ITEM_OUT_OF_MEMORY = 5, FM_ITEM_CANCELLED = 6
  integer(c_int), parameter :: FM_IN_PLACE = 1
  integer(c_int), parameter :: FM_GUARD_INPUTS = 1
  integer(c_int64_t), parameter :: FM_CHUNK_PYTHON = -1_c_int64_t
  integer, parameter :: FM_MAX_COLUMNS = 16, FM_MAX_WORKERS = 1023

  ! Element types: kind letter in the high byte, size [bytes] below.
  integer(c_int32_t), parameter :: FM_U8 = ishft(iachar('u'), 24) + 1, &
    FM_I8 = ishft(iachar('i'), 24) + 1, FM_I16 = ishft(iachar('i'), 24) + 2, &
    FM_I32 = ishft(iachar('i'), 24) + 4, FM_I64 = ishft(iachar('i'), 24) + 8, &
    FM_F32 = ishft(iachar('f'), 24) + 4, FM_F64 = ishft(iachar('f'), 24) + 8, &
    FM_C64 = ishft(iachar('c'), 24) + 8, FM_C128 = ishft(iachar('c'), 24) + 16
  integer(c_int), parameter :: FM_ORDER_C = 1, FM_ORDER_F = 2, FM_NPY_READ = 1

  type, bind(C) :: fm_array_opts
    integer(c_size_t) :: struct_size = 0
    integer(c_int) :: order = 0
    integer(c_int) :: zero = 0
    integer(c_int) :: lock = 0
  end type fm_array_opts

  type, bind(C) :: fm_pool_opts
    integer(c_size_t) :: struct_size = 0
    integer(c_int) :: workers = 0
    integer(c_int) :: pin = 0
    integer(c_int) :: caller = 0
    type(c_funptr) :: initializer = c_null_funptr
    type(c_funptr) :: finalizer = c_null_funptr
    type(c_ptr) :: init_arg = c_null_ptr
    integer(c_size_t) :: stack_bytes = 0
    integer(c_int) :: inner_threads = 0
    integer(c_int64_t) :: start_timeout = 0
    integer(c_size_t) :: init_arg_bytes = 0
    type(c_ptr) :: context = c_null_ptr
    integer(c_int64_t) :: max_tasks_per_worker = 0
    integer(c_size_t) :: max_worker_bytes = 0
    integer(c_int) :: max_workers = 0
    integer(c_int) :: min_workers = 0
    integer(c_int) :: signals = 0
    integer(c_size_t) :: worker_memory_limit = 0
  end type fm_pool_opts

  type, bind(C) :: fm_context
    integer(c_size_t) :: struct_size
    integer(c_int) :: method
  end type fm_context

  integer(c_int), parameter :: FM_FORK = 1

  ! fm_map_opts(chunk=100_c_int64_t, on_error=FM_ON_ERROR_CONTINUE): what is left out has its default.
  type, bind(C) :: fm_map_opts
    integer(c_size_t) :: struct_size = 0 ! is set by the maps
    integer(c_int64_t) :: chunk = 0
    integer(c_int) :: schedule = 0
    integer(c_int) :: on_error = 0
    integer(c_int) :: flags = 0
    integer(c_int) :: retries = 0
    type(c_ptr) :: arg = c_null_ptr
    integer(c_size_t) :: arg_bytes = 0
    integer(c_int64_t) :: item_timeout = 0 ! [ns]: fm_seconds(0.5d0)
    real(c_double) :: timeout_factor = 0
    integer(c_int64_t) :: max_failures = 0
    type(c_ptr) :: status = c_null_ptr ! the handle of an fm_array
    type(c_funptr) :: progress = c_null_funptr
    type(c_ptr) :: progress_arg = c_null_ptr
    integer(c_int64_t) :: progress_interval = 0
    integer(c_int) :: on_signal = 0
    integer(c_int64_t) :: seed = 0
    type(c_funptr) :: callback = c_null_funptr ! of maps that do not wait, which have no binding
    type(c_funptr) :: error_callback = c_null_funptr
    type(c_ptr) :: callback_arg = c_null_ptr
    type(c_ptr) :: journal = c_null_ptr ! c_loc of a path that ends with c_null_char
    integer(c_int) :: journal_flags = 0
    type(c_ptr) :: journal_done = c_null_ptr ! c_loc of an integer(c_int64_t)
    integer(c_int) :: guard = 0 ! FM_GUARD_INPUTS
  end type fm_map_opts

  type, bind(C) :: fm_chunk
    integer(c_int64_t) :: begin
    integer(c_int64_t) :: count
    integer(c_int) :: n_in
    type(c_ptr) :: in(FM_MAX_COLUMNS)
    integer(c_int64_t) :: in_stride(FM_MAX_COLUMNS)
    type(c_ptr) :: in_array(FM_MAX_COLUMNS)
    type(c_ptr) :: out
    integer(c_int64_t) :: out_stride
    type(c_ptr) :: out_array
  end type fm_chunk

  type, bind(C) :: fm_failure_c
    integer(c_int64_t) :: item
    integer(c_int) :: state, code, signal, attempt, worker, pid, cpu, stack_overflow
    integer(c_int64_t) :: address, begin_ns, end_ns, peak_bytes
    character(kind=c_char) :: note(96)
    integer(c_int) :: n_frames, wrote_input
    integer(c_int64_t) :: frames(12)
  end type fm_failure_c

  abstract interface
    ! What an item function is to the library: item and result are rows, passed by reference; 0, or the item fails.
    ! A program declares its own types instead of the three pointers, see docs/embedding.md.
    integer(c_int) function fm_item_fn(item, result, arg) bind(C)
      import :: c_int, c_ptr
      type(c_ptr), value :: item, result, arg
    end function fm_item_fn

    integer(c_int) function fm_star_fn(items, result, arg) bind(C)
      import :: c_int, c_ptr
      type(c_ptr), intent(in) :: items(*)
      type(c_ptr), value :: result, arg
    end function fm_star_fn

    integer(c_int) function fm_chunk_fn(chunk, arg) bind(C)
      import :: c_int, c_ptr, fm_chunk
      type(fm_chunk), intent(in) :: chunk
      type(c_ptr), value :: arg
    end function fm_chunk_fn
  end interface

  interface
    function fmc_strerror(code) bind(C, name='fm_strerror') result(text)
      import :: c_int, c_ptr
      integer(c_int), value :: code
      type(c_ptr) :: text
    end function fmc_strerror

    function fmc_errname(code) bind(C, name='fm_errname') result(text)
      import :: c_int, c_ptr
      integer(c_int), value :: code
      type(c_ptr) :: text
    end function fmc_errname

    function fmc_error_detail() bind(C, name='fm_error_detail') result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function fmc_error_detail

    function fmc_item_state_name(state) bind(C, name='fm_item_state_name') result(text)
      import :: c_int, c_ptr
      integer(c_int), value :: state
      type(c_ptr) :: text
    end function fmc_item_state_name

    ! fm_note() has a variable number of arguments, which no Fortran call has.
    subroutine fmc_note(text) bind(C, name='fmf_note')
      import :: c_char
      character(kind=c_char), intent(in) :: text(*)
    end subroutine fmc_note

    integer(c_int) function fm_worker_rank() bind(C)
      import :: c_int
    end function fm_worker_rank

    integer(c_int) function fmc_cancelled() bind(C, name='fm_cancelled')
      import :: c_int
    end function fmc_cancelled

    integer(c_int) function fm_cpu_count() bind(C)
      import :: c_int
    end function fm_cpu_count

    integer(c_int) function fmc_array_create(array, dtype, ndim, shape, opts) bind(C, name='fm_array_create')
      import :: c_int, c_ptr, c_int32_t, c_int64_t, fm_array_opts
      type(c_ptr), intent(out) :: array
      integer(c_int32_t), value :: dtype
      integer(c_int), value :: ndim
      integer(c_int64_t), intent(in) :: shape(*)
      type(fm_array_opts), intent(in) :: opts
    end function fmc_array_create

    subroutine fmc_array_destroy(array) bind(C, name='fm_array_destroy')
      import :: c_ptr
      type(c_ptr), value :: array
    end subroutine fmc_array_destroy

    function fmc_array_data(array) bind(C, name='fm_array_data') result(address)
      import :: c_ptr
      type(c_ptr), value :: array
      type(c_ptr) :: address
    end function fmc_array_data

    integer(c_int32_t) function fmc_array_dtype(array) bind(C, name='fm_array_dtype')
      import :: c_int32_t, c_ptr
      type(c_ptr), value :: array
    end function fmc_array_dtype

    pure integer(c_int) function fmc_array_ndim(array) bind(C, name='fm_array_ndim')
      import :: c_int, c_ptr
      type(c_ptr), value :: array
    end function fmc_array_ndim

    function fmc_array_shape(array) bind(C, name='fm_array_shape') result(lengths)
      import :: c_ptr
      type(c_ptr), value :: array
      type(c_ptr) :: lengths
    end function fmc_array_shape

    pure integer(c_int64_t) function fmc_array_len(array) bind(C, name='fm_array_len')
      import :: c_int64_t, c_ptr
      type(c_ptr), value :: array
    end function fmc_array_len

    integer(c_int) function fmc_array_is_contiguous(array, order) bind(C, name='fm_array_is_contiguous')
      import :: c_int, c_ptr
      type(c_ptr), value :: array
      integer(c_int), value :: order
    end function fmc_array_is_contiguous

    integer(c_int) function fmc_npy_load(path, mode, array) bind(C, name='fm_npy_load')
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: mode
      type(c_ptr), intent(out) :: array
    end function fmc_npy_load

    integer(c_int) function fmc_npy_save(path, array) bind(C, name='fm_npy_save')
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), value :: array
    end function fmc_npy_save

    integer(c_int) function fmc_pool_open(pool, opts) bind(C, name='fm_pool_open')
      import :: c_int, c_ptr, fm_pool_opts
      type(c_ptr), intent(out) :: pool
      type(fm_pool_opts), intent(in) :: opts
    end function fmc_pool_open

    integer(c_int) function fmc_pool_close(pool) bind(C, name='fm_pool_close')
      import :: c_int, c_ptr
      type(c_ptr), value :: pool
    end function fmc_pool_close

    integer(c_int) function fmc_pool_terminate(pool) bind(C, name='fm_pool_terminate')
      import :: c_int, c_ptr
      type(c_ptr), value :: pool
    end function fmc_pool_terminate

    integer(c_int) function fmc_pool_join(pool, timeout) bind(C, name='fm_pool_join')
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: pool
      integer(c_int64_t), value :: timeout
    end function fmc_pool_join

    integer(c_int) function fmc_pool_destroy(pool) bind(C, name='fm_pool_destroy')
      import :: c_int, c_ptr
      type(c_ptr), value :: pool
    end function fmc_pool_destroy

    integer(c_int) function fmc_pool_workers(pool) bind(C, name='fm_pool_workers')
      import :: c_int, c_ptr
      type(c_ptr), value :: pool
    end function fmc_pool_workers

    integer(c_int) function fmc_pool_map(pool, fn, in, out, opts) bind(C, name='fm_pool_map')
      import :: c_funptr, c_int, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, in, out
      type(c_funptr), value :: fn
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_map

    integer(c_int) function fmc_pool_map_chunks(pool, fn, in, out, opts) bind(C, name='fm_pool_map_chunks')
      import :: c_funptr, c_int, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, in, out
      type(c_funptr), value :: fn
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_map_chunks

    integer(c_int) function fmc_pool_map_range(pool, fn, begin, end, out, opts) bind(C, name='fm_pool_map_range')
      import :: c_funptr, c_int, c_int64_t, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, out
      type(c_funptr), value :: fn
      integer(c_int64_t), value :: begin, end
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_map_range

    integer(c_int) function fmc_pool_map_range_chunks(pool, fn, begin, end, out, opts) &
        bind(C, name='fm_pool_map_range_chunks')
      import :: c_funptr, c_int, c_int64_t, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, out
      type(c_funptr), value :: fn
      integer(c_int64_t), value :: begin, end
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_map_range_chunks

    integer(c_int) function fmc_pool_starmap(pool, fn, columns, n, out, opts) bind(C, name='fm_pool_starmap')
      import :: c_funptr, c_int, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, out
      type(c_funptr), value :: fn
      type(c_ptr), intent(in) :: columns(*)
      integer(c_int), value :: n
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_starmap

    integer(c_int) function fmc_pool_starmap_chunks(pool, fn, columns, n, out, opts) &
        bind(C, name='fm_pool_starmap_chunks')
      import :: c_funptr, c_int, c_ptr, fm_map_opts
      type(c_ptr), value :: pool, out
      type(c_funptr), value :: fn
      type(c_ptr), intent(in) :: columns(*)
      integer(c_int), value :: n
      type(fm_map_opts), intent(in) :: opts
    end function fmc_pool_starmap_chunks

    integer(c_int64_t) function fmc_pool_failures(pool, list, n) bind(C, name='fm_pool_failures')
      import :: c_int64_t, c_ptr, fm_failure_c
      type(c_ptr), value :: pool
      type(fm_failure_c), intent(inout) :: list(*)
      integer(c_int64_t), value :: n
    end function fmc_pool_failures
  end interface
end module forkmap_c
