! SPDX-License-Identifier: MIT
! Codes and texts, and what a call does with a failure: stat and errmsg, as in ALLOCATE.
module forkmap_errors
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use forkmap_c
  implicit none
  private
  public :: fm_strerror, fm_errname, fm_error_detail, fm_item_state_name, fm_note, fm_cancelled, fm_seconds
  public :: fmf_settle, fmf_refuse, fmf_text

contains

  function fmf_text(address) result(text)
    type(c_ptr), intent(in) :: address
    character(:), allocatable :: text
    character(kind=c_char), pointer :: chars(:)
    integer :: i, length
    text = ''
    if (.not. c_associated(address)) return
    call c_f_pointer(address, chars, [huge(0)])
    length = 0
    do while (chars(length + 1) /= c_null_char)
      length = length + 1
    end do
    deallocate (text)
    allocate (character(length) :: text)
    do i = 1, length
      text(i:i) = chars(i)
    end do
  end function fmf_text

  ! The text of a code, in English.
  function fm_strerror(code) result(text)
    integer, intent(in) :: code
    character(:), allocatable :: text
    text = fmf_text(fmc_strerror(int(code, c_int)))
  end function fm_strerror

  ! The name of a code: "FM_ETASK", "ENOMEM", "OK".
  function fm_errname(code) result(text)
    integer, intent(in) :: code
    character(:), allocatable :: text
    text = fmf_text(fmc_errname(int(code, c_int)))
  end function fm_errname

  ! What the last failed call of this thread had to say beyond its code.
  function fm_error_detail() result(text)
    character(:), allocatable :: text
    text = fmf_text(fmc_error_detail())
  end function fm_error_detail

  ! "done", "failed", "crashed", ...
  function fm_item_state_name(state) result(text)
    integer, intent(in) :: state
    character(:), allocatable :: text
    text = fmf_text(fmc_item_state_name(int(state, c_int)))
  end function fm_item_state_name

  ! Leaves a note for the failure record, should this item fail. Up to 95 characters.
  subroutine fm_note(text)
    character(*), intent(in) :: text
    call fmc_note(trim(text)//c_null_char)
  end subroutine fm_note

  ! True if the map that this function serves was cancelled; for long items to ask now and then.
  logical function fm_cancelled()
    fm_cancelled = fmc_cancelled() /= 0
  end function fm_cancelled

  ! Seconds as the nanoseconds that options take.
  elemental integer(int64) function fm_seconds(seconds)
    real(real64), intent(in) :: seconds
    fm_seconds = nint(seconds*1e9_real64, int64)
  end function fm_seconds

  ! How every call ends: the code into stat and the text into errmsg; without stat, a failure ends the program.
  subroutine fmf_settle(code, call_name, stat, errmsg)
    integer(c_int), intent(in) :: code
    character(*), intent(in) :: call_name
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    if (code == 0) then
      if (present(stat)) stat = 0
      return
    end if
    call report(code, fm_error_detail(), call_name, stat, errmsg)
  end subroutine fmf_settle

  ! fmf_settle() for what this module itself refuses.
  subroutine fmf_refuse(reason, call_name, stat, errmsg)
    character(*), intent(in) :: reason, call_name
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    call report(FM_EINVAL, reason, call_name, stat, errmsg)
  end subroutine fmf_refuse

  subroutine report(code, detail, call_name, stat, errmsg)
    integer(c_int), intent(in) :: code
    character(*), intent(in) :: detail, call_name
    integer, intent(out), optional :: stat
    character(*), intent(inout), optional :: errmsg
    character(:), allocatable :: message
    message = call_name//': '//fm_strerror(code)//' ('//fm_errname(code)//')'
    if (len(detail) > 0) message = message//': '//detail
    if (present(errmsg)) errmsg = message
    if (.not. present(stat)) error stop message
    stat = code
  end subroutine report
end module forkmap_errors
