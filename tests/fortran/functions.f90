! SPDX-License-Identifier: MIT
! What the tests map.
module functions
  use, intrinsic :: iso_c_binding
  use forkmap
  implicit none

  type, bind(C) :: parameters
    real(c_double) :: factor
    integer(c_int) :: shift
  end type parameters

  integer :: prepared = -1

contains

  integer(c_int) function prepare(rank, base) bind(C) result(code)
    integer(c_int), value :: rank
    integer(c_int), intent(in) :: base
    prepared = base + rank
    code = merge(0, 1, base >= 0)
  end function prepare

  subroutine tell_prepared(x, y)
    integer(c_int32_t), intent(in) :: x
    integer(c_int32_t), intent(out) :: y
    y = prepared + 0*x
  end subroutine tell_prepared

  pure real(c_double) function energy(x)
    real(c_double), intent(in) :: x(3)
    energy = sqrt(sum(x**2))*exp(-x(1)) + 1/(1 + x(3)**2)
  end function energy

  integer(c_int) function energy_item(x, y, arg) bind(C) result(code)
    real(c_double), intent(in) :: x(3)
    real(c_double), intent(out) :: y
    type(c_ptr), value :: arg
    code = merge(0, 1, .not. c_associated(arg))
    y = energy(x)
  end function energy_item

  integer(c_int) function scaled_item(x, y, arg) bind(C) result(code)
    real(c_double), intent(in) :: x
    real(c_double), intent(out) :: y(2)
    type(parameters), intent(in) :: arg
    y = [arg%factor*x, x + arg%shift]
    code = 0
  end function scaled_item

  integer(c_int) function twice_in_place(x, y, arg) bind(C) result(code)
    integer(c_int32_t), intent(in) :: x
    integer(c_int32_t), intent(inout) :: y
    type(c_ptr), value :: arg
    code = merge(0, 1, .not. c_associated(arg))
    y = 2*x
  end function twice_in_place

  integer(c_int) function energy_chunk(chunk, arg) bind(C) result(code)
    type(fm_chunk), intent(in) :: chunk
    type(c_ptr), value :: arg
    real(c_double), pointer :: x(:, :), y(:)
    integer :: i
    call c_f_pointer(chunk%in(1), x, [3_c_int64_t, chunk%count])
    call c_f_pointer(chunk%out, y, [chunk%count])
    do i = 1, int(chunk%count)
      y(i) = energy(x(:, i))
    end do
    code = merge(0, 1, .not. c_associated(arg) .and. chunk%in_stride(1) == 24)
  end function energy_chunk

  integer(c_int) function dot_star(items, y, arg) bind(C) result(code)
    type(c_ptr), intent(in) :: items(*)
    real(c_double), intent(out) :: y
    type(c_ptr), value :: arg
    real(c_double), pointer :: a(:), b(:)
    call c_f_pointer(items(1), a, [3])
    call c_f_pointer(items(2), b, [3])
    y = dot_product(a, b)
    code = merge(0, 1, .not. c_associated(arg))
  end function dot_star

  integer(c_int) function dot_chunk(chunk, arg) bind(C) result(code)
    type(fm_chunk), intent(in) :: chunk
    type(c_ptr), value :: arg
    real(c_double), pointer :: a(:, :), b(:), y(:)
    call c_f_pointer(chunk%in(1), a, [3_c_int64_t, chunk%count])
    call c_f_pointer(chunk%in(2), b, [3])
    call c_f_pointer(chunk%out, y, [chunk%count])
    y = matmul(b, a)
    code = merge(0, 1, .not. c_associated(arg))
  end function dot_chunk

  integer(c_int) function number_item(i, y, arg) bind(C) result(code)
    integer(c_int64_t), intent(in) :: i
    integer(c_int64_t), intent(out) :: y
    type(c_ptr), value :: arg
    y = 10*i
    code = merge(0, 1, .not. c_associated(arg))
  end function number_item

  integer(c_int) function number_chunk(chunk, arg) bind(C) result(code)
    type(fm_chunk), intent(in) :: chunk
    type(c_ptr), value :: arg
    integer(c_int64_t), pointer :: y(:)
    integer :: i
    call c_f_pointer(chunk%out, y, [chunk%count])
    y = [(10*(chunk%begin + i), i=0, int(chunk%count) - 1)]
    code = merge(0, 1, .not. c_associated(arg) .and. chunk%n_in == 0)
  end function number_chunk

  ! Item 5 returns 3, item 8 reads a null pointer, item 11 stops, item 14 never ends.
  integer(c_int) function trouble(x, y, arg) bind(C) result(code)
    integer(c_int32_t), intent(in) :: x
    integer(c_int32_t), intent(out) :: y
    type(c_ptr), value :: arg
    integer, pointer :: nowhere
    character(40) :: note
    code = merge(0, 1, .not. c_associated(arg))
    y = -x
    write (note, '(a, i0)') 'x is ', x
    call fm_note(note)
    select case (x)
    case (5)
      code = 3
    case (8)
      call c_f_pointer(transfer(8_c_intptr_t, c_null_ptr), nowhere)
      nowhere = 1
    case (11)
      stop 4 ! ERROR STOP takes its time for a backtrace
    case (14)
      do while (.not. fm_cancelled())
        y = y + 1
      end do
    end select
  end function trouble

  integer(c_int) function rank_item(x, y, arg) bind(C) result(code)
    integer(c_int32_t), intent(in) :: x
    integer(c_int32_t), intent(out) :: y
    type(c_ptr), value :: arg
    y = fm_worker_rank() + 0*x
    code = merge(0, 1, .not. c_associated(arg))
  end function rank_item

  ! A subroutine as programs have them, with types and shapes of their own and no bind(C).
  subroutine plain(x, y)
    real(c_double), intent(in) :: x(3)
    real(c_double), intent(out) :: y
    y = energy(x)
  end subroutine plain

  subroutine two(x, k, y)
    real(c_double), intent(in) :: x(3)
    integer(c_int32_t), intent(in) :: k
    complex(c_double), intent(out) :: y
    y = cmplx(sum(x), k, c_double)
  end subroutine two

  subroutine eight(a, b, c, d, e, f, g, h, y)
    integer(c_int32_t), intent(in) :: a, b, c, d, e, f, g, h
    integer(c_int32_t), intent(out) :: y
    y = a + 2*b + 3*c + 4*d + 5*e + 6*f + 7*g + 8*h
  end subroutine eight

  subroutine stops_at_7(x, y)
    integer(c_int32_t), intent(in) :: x
    integer(c_int32_t), intent(out) :: y
    if (x == 7) stop 5
    y = x
  end subroutine stops_at_7
end module functions
