! SPDX-License-Identifier: MIT
! A routine with COMMON and SAVE state in parallel, unchanged: pendulum.f by a serial loop, by forkmap and by OpenMP.
!
!   gfortran -O2 -c pendulum.f
!   gfortran -O2 -fopenmp main.f90 pendulum.o $(pkg-config --cflags --libs forkmap-fortran) -o legacy_fortran
!   ./legacy_fortran [forkmap|openmp] (default: both)
!
! pendulum.o is one object file for all three. Each worker process has its own COMMON blocks, so forkmap's results are those
! of the serial loop bit for bit. OpenMP's threads share them, and the results differ from run to run. (To repair that one
! would have to find every COMMON block and SAVE variable, in libraries too, and make each THREADPRIVATE.)
!
! Ends with 0 if forkmap's results are the serial ones for 1 to 8 workers, and OpenMP's were once not for 2 to 8 threads.
program legacy_fortran
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use forkmap
  implicit none
  integer, parameter :: n = 600, rounds = 20
  type(fm_array) :: parameters, results
  real(real64), pointer :: p(:, :), r(:, :)
  real(real64) :: serial(3, n)
  character(16) :: which
  external :: pendul
  integer :: i

  call get_command_argument(1, which)
  if (which /= '' .and. which /= 'forkmap' .and. which /= 'openmp') error stop 'usage: legacy_fortran [forkmap|openmp]'
  call parameters%create(p, [5, n])
  call results%create(r, [3, n])
  do i = 1, n ! q, b, w, seed, end
    p(:, i) = [0.5_real64, 0.9_real64 + 0.7_real64*i/n, 2/3.0_real64, real(i, real64), 40.0_real64]
  end do
  do i = 1, n
    call pendul(p(:, i), serial(:, i))
  end do
  print '(*(g0))', 'serial: ', n, ' pendulums, ', nint(sum(serial(3, :))), ' steps'
  if (which /= 'openmp') call with_forkmap
  if (which /= 'forkmap') call with_openmp

contains

  ! How many results have not the bits of the serial loop.
  integer function differing()
    integer :: k
    differing = 0
    do k = 1, n
      if (any(transfer(r(:, k), [0_int64]) /= transfer(serial(:, k), [0_int64]))) differing = differing + 1
    end do
  end function differing

  subroutine with_forkmap
    type(fm_pool) :: pool
    integer :: workers, wrong
    wrong = 0
    do workers = 1, 8
      r = 0
      call pool%open(workers=workers)
      call pool%map_sub(pendul, parameters, results)
      call pool%destroy
      print '(*(g0))', 'forkmap, ', workers, ' workers: ', differing(), ' of ', n, ' results differ'
      wrong = wrong + differing()
    end do
    if (wrong > 0) error stop 'forkmap: these must be the results of the serial loop'
  end subroutine with_forkmap

  ! A race may be won by chance, so each number of threads has up to 20 rounds.
  subroutine with_openmp
    integer :: threads, round, k
    do threads = 2, 8
      do round = 1, rounds
        r = 0
        !$omp parallel do num_threads(threads) schedule(dynamic)
        do k = 1, n
          call pendul(p(:, k), r(:, k))
        end do
        !$omp end parallel do
        if (differing() > 0) exit
      end do
      print '(*(g0))', 'OpenMP, ', threads, ' threads: ', differing(), ' of ', n, &
        ' results differ, round ', min(round, rounds)
      if (round > rounds) error stop 'OpenMP: by chance no two threads were in the routine at once'
    end do
  end subroutine with_openmp
end program legacy_fortran
