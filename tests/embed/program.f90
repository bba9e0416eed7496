! SPDX-License-Identifier: MIT
! A program outside the tree, in Fortran 2008: maps a function and a subroutine as it is, and names what crashed.
module functions
  use, intrinsic :: iso_c_binding
  implicit none
contains
  integer(c_int) function norm_item(x, y, arg) bind(C) result(code)
    real(c_double), intent(in) :: x(3)
    real(c_double), intent(out) :: y
    real(c_double), intent(in) :: arg ! a factor
    y = arg*sqrt(sum(x**2))
    code = 0
  end function norm_item

  subroutine half(x, y)
    double precision :: x(3), y(3)
    if (x(1) > 6 .and. x(1) < 8) stop 3
    y = x/2
  end subroutine half
end module functions

program outside
  use, intrinsic :: iso_c_binding
  use forkmap
  use functions
  implicit none
  integer, parameter :: n = 10007
  type(fm_pool) :: pool
  type(fm_array) :: points, norms, halves
  type(fm_failure), allocatable :: list(:)
  real(c_double), pointer :: x(:, :), y(:), z(:, :)
  real(c_double), target :: factor
  integer :: i, j, stat
  character(200) :: errmsg

  call pool%open(workers=3)
  call points%create(x, [3, n])
  call norms%create(y, [n])
  call halves%create(z, [3, n])
  do i = 1, n
    x(:, i) = [(real(i + j, c_double), j=-1, 1)]
  end do
  factor = 3
  call pool%map(c_funloc(norm_item), points, norms, fm_map_opts(arg=c_loc(factor), arg_bytes=c_sizeof(factor)))
  do i = 1, n
    if (abs(y(i) - 3*sqrt(sum(x(:, i)**2))) > 0) error stop 'a wrong norm'
  end do
  call pool%map_sub(half, points, halves, fm_map_opts(on_error=FM_ON_ERROR_CONTINUE), stat, errmsg)
  if (stat /= FM_ECRASHED) error stop 'a stop was expected'
  call pool%failures(list)
  if (size(list) /= 1) error stop 'one record was expected'
  if (list(1)%item /= 7 .or. list(1)%code /= 3) error stop 'of item 7'
  if (maxval(abs(z(:, 9:) - x(:, 9:)/2)) > 0) error stop 'a wrong half'
  print '(a)', trim(errmsg)
  deallocate (list) ! a main program's variables are never finalised, and a leak checker minds
  call pool%destroy
end program outside
