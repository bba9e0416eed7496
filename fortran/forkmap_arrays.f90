! SPDX-License-Identifier: MIT
! Arrays in the shared heap, seen through Fortran pointers.
!
! The items of an array are along its LAST axis: x(:, :, i) is item i, and lies in one piece. The library counts items
! along the first axis of C order, so it sees the lengths in reverse: x(3, 1000) is a C array of shape (1000, 3),
! in memory and in .npy files.
module forkmap_arrays
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int8, int16, int32, int64, real32, real64
  use forkmap_c
  use forkmap_errors
  implicit none
  private
  public :: fm_array

  ! Copies of an fm_array are the same array; one of them is destroyed, once. Pointers to its elements end with it.
  type :: fm_array
    type(c_ptr) :: handle = c_null_ptr ! an fm_array * for calls of the C library
  contains
    procedure :: create_status
    procedure :: destroy => destroy_array
    procedure :: load => load_array
    procedure :: save => save_array
    procedure :: rank => rank_of
    procedure :: shape => shape_of
    procedure :: items => items_of
    include 'array_bindings.inc'
  end type fm_array

contains

  ! call a%create(x, [3, n]): makes an array, and points x at its elements. For real and complex (real32, real64) and
  ! integer (int8 to int64) pointers of rank 1 to 7. zero=.true. clears the elements; otherwise they are undefined.
  ! call a%get(x): points x at the elements of an array that is there, loaded for example.
  include 'array_pointers.inc'

  subroutine create_array(this, dtype, lengths, zero, stat, errmsg)
    class(fm_array), intent(inout) :: this
    integer(c_int32_t), intent(in) :: dtype
    integer(int64), intent(in) :: lengths(:)
    logical, intent(in), optional :: zero
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    type(fm_array_opts) :: opts
    if (c_associated(this%handle)) then
      call fmf_refuse('this fm_array is made already; destroy it first', 'fm_array create', stat, errmsg)
      return
    end if
    opts%struct_size = c_sizeof(opts)
    opts%order = FM_ORDER_C
    if (present(zero)) opts%zero = merge(1_c_int, 0_c_int, zero)
    call fmf_settle(fmc_array_create(this%handle, dtype, size(lengths, kind=c_int), &
                                     lengths(size(lengths):1:-1), opts), 'fm_array create', stat, errmsg)
  end subroutine create_array

  ! An array for fm_map_opts(status=...%handle): one FM_ITEM_... for each of n items.
  subroutine create_status(this, states, n, stat, errmsg)
    class(fm_array), intent(inout) :: this
    integer(int8), pointer, intent(out) :: states(:)
    integer(int64), intent(in) :: n
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    nullify (states)
    if (present(stat)) then
      call create_array(this, FM_U8, [n], .true., stat, errmsg)
      if (stat /= 0) return
    else
      call create_array(this, FM_U8, [n], .true., errmsg=errmsg)
    end if
    call c_f_pointer(fmc_array_data(this%handle), states, [n])
  end subroutine create_status

  ! Why a pointer of this dtype and rank cannot be had; '' if it can.
  function reason_against(this, dtype, wanted_rank) result(reason)
    class(fm_array), intent(in) :: this
    integer(c_int32_t), intent(in) :: dtype
    integer, intent(in) :: wanted_rank
    character(:), allocatable :: reason
    character(8) :: digits
    reason = ''
    if (.not. c_associated(this%handle)) then
      reason = 'this fm_array is not made yet; create or load it first'
    else if (fmc_array_dtype(this%handle) /= dtype) then
      reason = 'the pointer has another type or kind than the elements'
    else if (this%rank() /= wanted_rank) then
      write (digits, '(i0)') this%rank()
      reason = 'the array has rank '//trim(digits)//', the pointer another'
    else if (fmc_array_is_contiguous(this%handle, FM_ORDER_C) == 0) then
      reason = 'the array does not lie in C order, so no pointer has its items along the last axis'
    end if
  end function reason_against

  ! Destroys the array; its pointers are undefined from then on. Nothing happens if there is none.
  subroutine destroy_array(this)
    class(fm_array), intent(inout) :: this
    call fmc_array_destroy(this%handle)
    this%handle = c_null_ptr
  end subroutine destroy_array

  ! Loads a .npy file: a C-ordered file of shape (1000, 3) is x(3, 1000).
  subroutine load_array(this, path, stat, errmsg)
    class(fm_array), intent(inout) :: this
    character(*), intent(in) :: path
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    if (c_associated(this%handle)) then
      call fmf_refuse('this fm_array is made already; destroy it first', 'fm_array load', stat, errmsg)
      return
    end if
    call fmf_settle(fmc_npy_load(trim(path)//c_null_char, FM_NPY_READ, this%handle), 'fm_array load', stat, errmsg)
  end subroutine load_array

  ! Saves as .npy, whole or not at all.
  subroutine save_array(this, path, stat, errmsg)
    class(fm_array), intent(in) :: this
    character(*), intent(in) :: path
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call fmf_settle(fmc_npy_save(trim(path)//c_null_char, this%handle), 'fm_array save', stat, errmsg)
  end subroutine save_array

  pure integer function rank_of(this)
    class(fm_array), intent(in) :: this
    rank_of = 0
    if (c_associated(this%handle)) rank_of = fmc_array_ndim(this%handle)
  end function rank_of

  ! The lengths as Fortran has them: the items are the last.
  function shape_of(this) result(lengths)
    class(fm_array), intent(in) :: this
    integer(int64), allocatable :: lengths(:)
    integer(c_int64_t), pointer :: reversed(:)
    allocate (lengths(this%rank()))
    if (size(lengths) == 0) return
    call c_f_pointer(fmc_array_shape(this%handle), reversed, [size(lengths)])
    lengths = reversed(size(lengths):1:-1)
  end function shape_of

  ! Number of items: the length of the last axis.
  pure integer(int64) function items_of(this)
    class(fm_array), intent(in) :: this
    items_of = 0
    if (c_associated(this%handle)) items_of = fmc_array_len(this%handle)
  end function items_of
end module forkmap_arrays
