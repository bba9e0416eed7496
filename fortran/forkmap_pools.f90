! SPDX-License-Identifier: MIT
! Pools and maps. A function is given by its address, c_funloc(f); it is bind(C), or for the ..._sub maps any
! subroutine whose arguments are passed by reference, as Fortran 77 passes them.
!
! No INTERNAL procedure (one after CONTAINS of a program or procedure) that uses variables of its host may be mapped:
! its address is that of a piece of code on the stack of the caller, which workers do not have.
module forkmap_pools
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real64
  use forkmap_c
  use forkmap_errors
  use forkmap_arrays
  implicit none
  private
  public :: fm_pool, fm_failure

  ! One item that is not done. `item` counts from 0, as in messages: item k of an array is x(..., k + 1). For a range it is
  ! the number itself.
  type :: fm_failure
    integer(int64) :: item = -1
    integer :: state = 0          ! FM_ITEM_FAILED, FM_ITEM_CRASHED, ...
    integer :: code = 0           ! what the function returned, or the exit status
    integer :: signal = 0         ! that ended the worker; 0: none
    integer :: attempt = 0        ! from 1
    integer :: worker = -1
    integer :: pid = 0
    integer :: cpu = -1
    logical :: stack_overflow = .false.
    integer(int64) :: address = 0 ! faulting address
    integer(int64) :: begin_ns = 0, end_ns = 0
    integer(int64) :: peak_bytes = 0
    character(95) :: note = ''
    integer :: wrote_input = 0    ! FM_GUARD_INPUTS: into which input it wrote, from 1; 0: none
  end type fm_failure

  ! Copies of an fm_pool are the same pool; one of them is destroyed, once.
  type :: fm_pool
    type(c_ptr) :: handle = c_null_ptr ! an fm_pool * for calls of the C library
  contains
    procedure :: open => open_pool
    procedure :: close => close_pool
    procedure :: terminate => terminate_pool
    procedure :: destroy => destroy_pool
    procedure, private :: join_pool
    procedure, private :: join_pool_within
    generic :: join => join_pool, join_pool_within
    procedure :: workers => workers_of
    procedure :: failures => failures_of
    procedure :: map
    procedure :: map_chunks
    procedure :: starmap
    procedure :: starmap_chunks
    procedure, private :: map_range_int32
    procedure, private :: map_range_int64
    generic :: map_range => map_range_int32, map_range_int64
    procedure, private :: map_range_chunks_int32
    procedure, private :: map_range_chunks_int64
    generic :: map_range_chunks => map_range_chunks_int32, map_range_chunks_int64
    procedure :: map_sub
    procedure :: starmap_sub
  end type fm_pool

  ! What the item functions of the ..._sub maps are told. It is copied into the job.
  type, bind(C) :: target_subroutine
    type(c_funptr) :: address
    integer(c_int) :: n_in
  end type target_subroutine

contains

  ! ---- life ----------------------------------------------------------------------------------------------------

  ! Opens a pool; without arguments one isolated worker per usable core. Workers see the program's memory (COMMON, SAVE,
  ! module variables) as it is now, and arrays whenever they were made. They are always forks of the program, whatever
  ! fm_set_start_method() of C says: the address of a subroutine that is handed to map_sub means nothing elsewhere.
  subroutine open_pool(this, workers, caller, pin, initializer, finalizer, init_arg, stack_bytes, inner_threads, &
                       start_timeout, stat, errmsg)
    class(fm_pool), intent(inout) :: this
    integer, intent(in), optional :: workers, caller, pin
    ! integer(c_int) function f(rank, arg) bind(C), both by value. Give a variable that has c_funloc(f): gfortran 12 puts
    ! c_funloc(f) itself, as an actual argument here, where position-independent programs may not have addresses.
    type(c_funptr), intent(in), optional :: initializer, finalizer
    type(c_ptr), intent(in), optional :: init_arg
    integer(c_size_t), intent(in), optional :: stack_bytes
    integer, intent(in), optional :: inner_threads
    real(real64), intent(in), optional :: start_timeout ! [s]
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(fm_pool_opts) :: opts
    type(fm_context), target :: by_fork
    if (c_associated(this%handle)) then
      call fmf_refuse('this fm_pool is open already; destroy it first', 'fm_pool open', stat, errmsg)
      return
    end if
    by_fork = fm_context(c_sizeof(by_fork), FM_FORK)
    opts%struct_size = c_sizeof(opts)
    opts%context = c_loc(by_fork)
    if (present(workers)) opts%workers = workers
    if (present(caller)) opts%caller = caller
    if (present(pin)) opts%pin = pin
    if (present(initializer)) opts%initializer = initializer
    if (present(finalizer)) opts%finalizer = finalizer
    if (present(init_arg)) opts%init_arg = init_arg
    if (present(stack_bytes)) opts%stack_bytes = stack_bytes
    if (present(inner_threads)) opts%inner_threads = inner_threads
    if (present(start_timeout)) opts%start_timeout = fm_seconds(start_timeout)
    call fmf_settle(fmc_pool_open(this%handle, opts), 'fm_pool open', stat, errmsg)
  end subroutine open_pool

  ! No new maps from now on.
  subroutine close_pool(this, stat, errmsg)
    class(fm_pool), intent(in) :: this
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_close(this%handle), 'fm_pool close', stat, errmsg)
  end subroutine close_pool

  ! Ends all workers at once.
  subroutine terminate_pool(this, stat, errmsg)
    class(fm_pool), intent(in) :: this
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_terminate(this%handle), 'fm_pool terminate', stat, errmsg)
  end subroutine terminate_pool

  ! Waits until every process of the pool has ended; close or terminate it before.
  subroutine join_pool(this, stat, errmsg)
    class(fm_pool), intent(in) :: this
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_join(this%handle, FM_FOREVER), 'fm_pool join', stat, errmsg)
  end subroutine join_pool

  ! The same, at most so many seconds: stat is FM_ETIMEDOUT then.
  subroutine join_pool_within(this, seconds, stat, errmsg)
    class(fm_pool), intent(in) :: this
    real(real64), intent(in) :: seconds
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_join(this%handle, fm_seconds(seconds)), 'fm_pool join', stat, errmsg)
  end subroutine join_pool_within

  ! Terminates the pool if it is open, and frees it. Nothing happens if there is none.
  subroutine destroy_pool(this, stat, errmsg)
    class(fm_pool), intent(inout) :: this
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    integer(c_int) :: code
    code = 0
    if (c_associated(this%handle)) code = fmc_pool_destroy(this%handle)
    if (code == 0) this%handle = c_null_ptr
    call fmf_settle(code, 'fm_pool destroy', stat, errmsg)
  end subroutine destroy_pool

  ! Number of workers; negative: a code, for a pool that is not open.
  integer function workers_of(this)
    class(fm_pool), intent(in) :: this
    workers_of = fmc_pool_workers(this%handle)
  end function workers_of

  ! ---- maps over arrays ----------------------------------------------------------------------------------------

  ! Row out(..., i) becomes the result of fn for in(..., i). An `out` that is not made means: no output.
  !   integer(c_int) function f(x, y, arg) bind(C): x the item, y the result, both as they are declared, by reference;
  !   type(c_ptr), value :: arg. 0, or the item fails.
  subroutine map(this, fn, in, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    type(fm_array), intent(in) :: in, out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_map(this%handle, fn, in%handle, out%handle, sized(opts)), 'fm_pool map', stat, errmsg)
  end subroutine map

  ! With a chunk function: integer(c_int) function f(chunk, arg) bind(C), type(fm_chunk), intent(in) :: chunk.
  subroutine map_chunks(this, fn, in, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    type(fm_array), intent(in) :: in, out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_map_chunks(this%handle, fn, in%handle, out%handle, sized(opts)), 'fm_pool map_chunks', &
                    stat, errmsg)
  end subroutine map_chunks

  ! Over several arrays at once: integer(c_int) function f(items, y, arg) bind(C), type(c_ptr), intent(in) :: items(*).
  ! An array with one item is the same for all.
  subroutine starmap(this, fn, columns, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    type(fm_array), intent(in) :: columns(:), out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_starmap(this%handle, fn, handles(columns), size(columns, kind=c_int), out%handle, &
                                     sized(opts)), 'fm_pool starmap', stat, errmsg)
  end subroutine starmap

  subroutine starmap_chunks(this, fn, columns, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    type(fm_array), intent(in) :: columns(:), out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_starmap_chunks(this%handle, fn, handles(columns), size(columns, kind=c_int), out%handle, &
                                            sized(opts)), 'fm_pool starmap_chunks', stat, errmsg)
  end subroutine starmap_chunks

  ! ---- maps over first, first + 1, ..., last --------------------------------------------------------------------

  ! As do i = first, last: the item is i itself, integer(c_int64_t); its result is out(..., i - first + 1).
  subroutine map_range_int64(this, fn, first, last, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    integer(int64), intent(in) :: first, last
    type(fm_array), intent(in) :: out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_map_range(this%handle, fn, first, end_of(first, last), out%handle, sized(opts)), &
                    'fm_pool map_range', stat, errmsg)
  end subroutine map_range_int64

  subroutine map_range_int32(this, fn, first, last, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    integer(int32), intent(in) :: first, last
    type(fm_array), intent(in) :: out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call map_range_int64(this, fn, int(first, int64), int(last, int64), out, opts, stat, errmsg)
  end subroutine map_range_int32

  subroutine map_range_chunks_int64(this, fn, first, last, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    integer(int64), intent(in) :: first, last
    type(fm_array), intent(in) :: out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_pool_map_range_chunks(this%handle, fn, first, end_of(first, last), out%handle, sized(opts)), &
                    'fm_pool map_range_chunks', stat, errmsg)
  end subroutine map_range_chunks_int64

  subroutine map_range_chunks_int32(this, fn, first, last, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    type(c_funptr), value :: fn
    integer(int32), intent(in) :: first, last
    type(fm_array), intent(in) :: out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call map_range_chunks_int64(this, fn, int(first, int64), int(last, int64), out, opts, stat, errmsg)
  end subroutine map_range_chunks_int32

  ! A loop whose last is below its first runs no time.
  pure integer(int64) function end_of(first, last)
    integer(int64), intent(in) :: first, last
    end_of = max(first, min(last, huge(last) - 1) + 1)
  end function end_of

  ! ---- maps over subroutines -----------------------------------------------------------------------------------

  ! For an existing SUBROUTINE F(X, Y) of any age: X the item, Y the result, explicit-shape, assumed-size or scalar.
  ! No bind(C), no change. It fails by stopping (STOP, ERROR STOP), which costs its worker.
  ! It must be linked into the program, or loaded, before the pool is opened.
  subroutine map_sub(this, sub, in, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    external :: sub
    type(fm_array), intent(in) :: in, out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call starmap_sub(this, sub, [in], out, opts, stat, errmsg)
  end subroutine map_sub

  ! For SUBROUTINE F(X1, ..., XN, Y): XK the item of columns(K). At most 8 columns.
  subroutine starmap_sub(this, sub, columns, out, opts, stat, errmsg)
    class(fm_pool), intent(in) :: this
    external :: sub
    type(fm_array), intent(in) :: columns(:), out
    type(fm_map_opts), intent(in), optional :: opts
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(target_subroutine), target :: told
    type(fm_map_opts) :: own
    own = sized(opts)
    if (size(columns) < 1 .or. size(columns) > 8) then
      call fmf_refuse('a subroutine is mapped over 1 to 8 columns', 'fm_pool starmap_sub', stat, errmsg)
      return
    end if
    if (c_associated(own%arg)) then
      call fmf_refuse('a subroutine has no arg; give it a column with one item', 'fm_pool starmap_sub', stat, errmsg)
      return
    end if
    told%address = c_funloc(sub)
    told%n_in = size(columns, kind=c_int)
    own%arg = c_loc(told)
    own%arg_bytes = c_sizeof(told)
    call fmf_settle(fmc_pool_starmap(this%handle, c_funloc(call_subroutine), handles(columns), told%n_in, out%handle, &
                                     own), 'fm_pool starmap_sub', stat, errmsg)
  end subroutine starmap_sub

  ! The item function of the ..._sub maps. What the rows are, only the subroutine knows: they are handed on by reference.
  integer(c_int) function call_subroutine(items, row, told) bind(C, name='fmf_call_subroutine') result(code)
    type(c_ptr), intent(in) :: items(*)
    type(c_ptr), value :: row
    type(target_subroutine), intent(in) :: told
    type :: bytes
      integer(c_int8_t), pointer :: at(:)
    end type bytes
    type(bytes) :: x(8)
    integer(c_int8_t), pointer :: y(:)
    procedure(), pointer :: sub
    integer :: k
    do k = 1, told%n_in
      call c_f_pointer(items(k), x(k)%at, [1])
    end do
    call c_f_pointer(row, y, [1])
    call c_f_procpointer(told%address, sub)
    select case (told%n_in)
    case (1); call sub(x(1)%at, y)
    case (2); call sub(x(1)%at, x(2)%at, y)
    case (3); call sub(x(1)%at, x(2)%at, x(3)%at, y)
    case (4); call sub(x(1)%at, x(2)%at, x(3)%at, x(4)%at, y)
    case (5); call sub(x(1)%at, x(2)%at, x(3)%at, x(4)%at, x(5)%at, y)
    case (6); call sub(x(1)%at, x(2)%at, x(3)%at, x(4)%at, x(5)%at, x(6)%at, y)
    case (7); call sub(x(1)%at, x(2)%at, x(3)%at, x(4)%at, x(5)%at, x(6)%at, x(7)%at, y)
    case (8); call sub(x(1)%at, x(2)%at, x(3)%at, x(4)%at, x(5)%at, x(6)%at, x(7)%at, x(8)%at, y)
    end select
    code = 0
  end function call_subroutine

  ! ---- helpers and records -------------------------------------------------------------------------------------

  function sized(opts) result(own)
    type(fm_map_opts), intent(in), optional :: opts
    type(fm_map_opts) :: own
    if (present(opts)) own = opts
    own%struct_size = c_sizeof(own)
  end function sized

  function handles(columns) result(list)
    type(fm_array), intent(in) :: columns(:)
    type(c_ptr) :: list(size(columns))
    integer :: k
    do k = 1, size(columns)
      list(k) = columns(k)%handle
    end do
  end function handles

  ! The records of the last map that this thread ran on this pool, lowest item first.
  ! (No function: gfortran warns wherever an allocatable is assigned one.)
  subroutine failures_of(this, list)
    class(fm_pool), intent(in) :: this
    type(fm_failure), allocatable, intent(out) :: list(:)
    type(fm_failure_c), allocatable :: raw(:)
    integer(int64) :: i, n
    allocate (raw(0))
    n = max(0_int64, fmc_pool_failures(this%handle, raw, 0_int64))
    deallocate (raw)
    allocate (raw(n), list(n))
    n = min(n, fmc_pool_failures(this%handle, raw, n))
    do i = 1, n
      list(i) = record_of(raw(i))
    end do
  end subroutine failures_of

  pure function record_of(raw) result(f)
    type(fm_failure_c), intent(in) :: raw
    type(fm_failure) :: f
    integer :: k
    f%item = raw%item
    f%state = raw%state
    f%code = raw%code
    f%signal = raw%signal
    f%attempt = raw%attempt
    f%worker = raw%worker
    f%pid = raw%pid
    f%cpu = raw%cpu
    f%stack_overflow = raw%stack_overflow /= 0
    f%address = raw%address
    f%begin_ns = raw%begin_ns
    f%end_ns = raw%end_ns
    f%peak_bytes = raw%peak_bytes
    f%wrote_input = raw%wrote_input
    do k = 1, len(f%note)
      if (raw%note(k) == c_null_char) exit
      f%note(k:k) = raw%note(k)
    end do
  end function record_of
end module forkmap_pools
