! SPDX-License-Identifier: MIT
! LABELS: fork
! The Fortran module from outside: test_fortran NAME runs the test of that name, and ends with 0 if it holds.
program test_fortran
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env
  use forkmap
  use functions
  implicit none
  character(100) :: name
  call get_command_argument(1, name)
  select case (name)
  case ('test_fortran_maps_an_item_function'); call test_fortran_maps_an_item_function
  case ('test_fortran_maps_a_chunk_function'); call test_fortran_maps_a_chunk_function
  case ('test_fortran_passes_arg_by_value'); call test_fortran_passes_arg_by_value
  case ('test_fortran_starmap_broadcasts_one_item'); call test_fortran_starmap_broadcasts_one_item
  case ('test_fortran_range_is_first_to_last'); call test_fortran_range_is_first_to_last
  case ('test_fortran_maps_subroutines_as_they_are'); call test_fortran_maps_subroutines_as_they_are
  case ('test_fortran_pointers_of_every_type_and_rank'); call test_fortran_pointers_of_every_type_and_rank
  case ('test_fortran_wrong_pointers_are_refused'); call test_fortran_wrong_pointers_are_refused
  case ('test_fortran_files_have_the_items_first'); call test_fortran_files_have_the_items_first
  case ('test_fortran_failures_name_each_item'); call test_fortran_failures_name_each_item
  case ('test_fortran_in_place_and_status'); call test_fortran_in_place_and_status
  case ('test_fortran_life_of_a_pool'); call test_fortran_life_of_a_pool
  case ('test_fortran_wrong_calls_are_refused'); call test_fortran_wrong_calls_are_refused
  case ('test_fortran_caller_may_work'); call test_fortran_caller_may_work
  case ('test_fortran_initializer_runs_in_each_worker'); call test_fortran_initializer_runs_in_each_worker
  case ('failure_without_stat'); call failure_without_stat
  case default; error stop 'no such test'
  end select

contains

  subroutine assert(holds, what)
    logical, intent(in) :: holds
    character(*), intent(in) :: what
    if (holds) return
    write (error_unit, '(2a)') 'does not hold: ', what
    error stop 1
  end subroutine assert

  subroutine make_points(points, x, n)
    type(fm_array), intent(inout) :: points
    real(real64), pointer, intent(out) :: x(:, :)
    integer, intent(in) :: n
    integer :: i, j
    call points%create(x, [3, n])
    do i = 1, n
      x(:, i) = [(0.001_real64*i + j, j=1, 3)]
    end do
  end subroutine make_points

  subroutine assert_energies(x, y)
    real(real64), intent(in) :: x(:, :), y(:)
    integer :: i
    call assert(size(y) == size(x, 2), 'one energy per point')
    do i = 1, size(y)
      call assert(transfer(y(i), 0_int64) == transfer(energy(x(:, i)), 0_int64), 'the bits of a serial loop')
    end do
  end subroutine assert_energies

  subroutine test_fortran_maps_an_item_function
    type(fm_pool) :: pool
    type(fm_array) :: points, energies
    real(real64), pointer :: x(:, :), y(:)
    integer :: stat
    call pool%open(workers=3)
    call assert(pool%workers() == 3, 'three workers')
    call make_points(points, x, 1009)
    call energies%create(y, [1009], zero=.true.)
    call assert(all(y == 0), 'zero clears')
    call pool%map(c_funloc(energy_item), points, energies)
    call assert_energies(x, y)
    y = 0
    call pool%map(c_funloc(energy_item), points, energies, &
                  fm_map_opts(chunk=10_int64, schedule=FM_SCHEDULE_DYNAMIC), stat=stat)
    call assert(stat == 0, 'stat is 0')
    call assert_energies(x, y)
    call points%destroy
    call energies%destroy
    call pool%destroy
  end subroutine test_fortran_maps_an_item_function

  subroutine test_fortran_maps_a_chunk_function
    procedure(fm_chunk_fn), pointer :: fn
    type(fm_pool) :: pool
    type(fm_array) :: points, energies
    real(real64), pointer :: x(:, :), y(:)
    call pool%open(workers=3)
    call make_points(points, x, 1009)
    call energies%create(y, [1009_int64])
    fn => energy_chunk
    call pool%map_chunks(c_funloc(fn), points, energies)
    call assert_energies(x, y)
    call pool%destroy
  end subroutine test_fortran_maps_a_chunk_function

  subroutine test_fortran_passes_arg_by_value
    type(fm_pool) :: pool
    type(fm_array) :: numbers, scaled
    real(real64), pointer :: x(:), y(:, :)
    type(parameters), target :: p
    integer :: i
    call pool%open(workers=2)
    call numbers%create(x, [100])
    call scaled%create(y, [2, 100])
    x = [(real(i, real64), i=1, 100)]
    p = parameters(0.25_c_double, 7) ! set after the open
    call pool%map(c_funloc(scaled_item), numbers, scaled, fm_map_opts(arg=c_loc(p), arg_bytes=c_sizeof(p)))
    call assert(all(y(1, :) == 0.25_real64*x .and. y(2, :) == x + 7), 'the function sees its arg')
    call pool%destroy
  end subroutine test_fortran_passes_arg_by_value

  subroutine test_fortran_starmap_broadcasts_one_item
    type(fm_pool) :: pool
    type(fm_array) :: points, weights, dots
    real(real64), pointer :: x(:, :), w(:, :), y(:)
    integer :: i
    call pool%open(workers=3)
    call make_points(points, x, 500)
    call weights%create(w, [3, 1])
    call dots%create(y, [500])
    w(:, 1) = [1, 10, 100]
    call pool%starmap(c_funloc(dot_star), [points, weights], dots)
    call assert(all(y == [(dot_product(x(:, i), w(:, 1)), i=1, 500)]), 'starmap')
    y = 0
    call pool%starmap_chunks(c_funloc(dot_chunk), [points, weights], dots)
    call assert(maxval(abs(y - [(dot_product(x(:, i), w(:, 1)), i=1, 500)])) < 1e-9_real64, 'starmap_chunks')
    call pool%destroy
  end subroutine test_fortran_starmap_broadcasts_one_item

  subroutine test_fortran_range_is_first_to_last
    type(fm_pool) :: pool
    type(fm_array) :: tens
    integer(int64), pointer :: y(:)
    integer(int64) :: i
    integer :: stat
    call pool%open(workers=3)
    call tens%create(y, [15])
    call pool%map_range(c_funloc(number_item), -4, 10, tens)
    call assert(all(y == [(10*i, i=-4, 10)]), 'map_range')
    y = 0
    call pool%map_range_chunks(c_funloc(number_chunk), -4_int64, 10_int64, tens)
    call assert(all(y == [(10*i, i=-4, 10)]), 'map_range_chunks')
    call pool%map_range(c_funloc(number_item), 1, 14, tens, stat=stat)
    call assert(stat == FM_EINVAL, 'a range of another length than the output is refused')
    call tens%destroy
    call tens%create(y, [0])
    call pool%map_range(c_funloc(number_item), 5, 4, tens)
    call pool%map_range(c_funloc(number_item), 5, -4, tens)
    call pool%destroy
  end subroutine test_fortran_range_is_first_to_last

  subroutine test_fortran_maps_subroutines_as_they_are
    type(fm_pool) :: pool
    type(fm_array) :: points, energies, numbers, pairs, sums, columns(8)
    real(real64), pointer :: x(:, :), y(:)
    integer(int32), pointer :: k(:), s(:)
    complex(real64), pointer :: c(:)
    integer :: i, stat
    external :: count_calls
    call pool%open(workers=3)
    call make_points(points, x, 503)
    call energies%create(y, [503])
    call pool%map_sub(plain, points, energies)
    call assert_energies(x, y)
    call numbers%create(k, [503])
    k = [(i, i=1, 503)]
    call pairs%create(c, [503])
    call pool%starmap_sub(two, [points, numbers], pairs)
    call assert(all(c == [(cmplx(sum(x(:, i)), i, real64), i=1, 503)]), 'two columns of different types')
    call sums%create(s, [503])
    columns = numbers
    call pool%starmap_sub(eight, columns, sums)
    call assert(all(s == 36*k), 'eight columns')
    call pool%map_sub(count_calls, numbers, sums, fm_map_opts(schedule=FM_SCHEDULE_STATIC))
    call assert(all(s(1:100) == [(i, i=1, 100)]), 'SAVE is private to each worker')
    call pool%map_sub(stops_at_7, numbers, sums, stat=stat)
    call assert(stat == FM_ECRASHED, 'STOP fails its item')
    call pool%destroy
  end subroutine test_fortran_maps_subroutines_as_they_are

  subroutine test_fortran_pointers_of_every_type_and_rank
    type(fm_array) :: a
    integer(int8), pointer :: i1(:)
    integer(int16), pointer :: i2(:, :)
    integer(int32), pointer :: i4(:, :, :), again(:, :, :)
    integer(int64), pointer :: i8(:, :, :, :)
    real(real32), pointer :: r4(:, :, :, :, :)
    real(real64), pointer :: r8(:, :, :, :, :, :)
    complex(real32), pointer :: c4(:, :, :, :, :, :, :)
    complex(real64), pointer :: c8(:)
    integer :: i
    call a%create(i1, [5]); i1 = 1_int8
    call assert(size(i1) == 5 .and. a%items() == 5 .and. a%rank() == 1, 'int8')
    call a%destroy
    call a%create(i2, [2, 3]); i2 = 2_int16
    call assert(all(shape(i2) == [2, 3]), 'int16'); call a%destroy
    call a%create(i4, [2, 3, 4])
    i4 = reshape([(i, i=1, 24)], [2, 3, 4])
    call assert(all(a%shape() == [2, 3, 4]) .and. a%items() == 4, 'the last axis has the items')
    call a%get(again)
    call assert(all(again == i4) .and. associated(again, i4), 'get gives the same elements')
    call a%destroy
    call a%create(i8, [2, 3, 4, 5]); i8 = 8
    call assert(all(shape(i8) == [2, 3, 4, 5]), 'int64'); call a%destroy
    call a%create(r4, [2, 1, 2, 1, 2]); r4 = 4
    call assert(size(r4) == 8, 'real32'); call a%destroy
    call a%create(r8, [2_int64, 1_int64, 2_int64, 1_int64, 2_int64, 1_int64]); r8 = 8
    call assert(size(r8) == 8, 'real64'); call a%destroy
    call a%create(c4, [1, 2, 1, 2, 1, 2, 1]); c4 = (1, 2)
    call assert(all(shape(c4) == [1, 2, 1, 2, 1, 2, 1]), 'complex32'); call a%destroy
    call a%create(c8, [0])
    call assert(associated(c8) .or. size(c8) == 0, 'no elements'); call a%destroy
    call a%destroy ! nothing happens
  end subroutine test_fortran_pointers_of_every_type_and_rank

  subroutine test_fortran_wrong_pointers_are_refused
    type(fm_array) :: a
    integer(int32), pointer :: i4(:, :)
    real(real32), pointer :: r4(:, :)
    integer(int32), pointer :: flat(:)
    integer :: stat
    character(200) :: errmsg
    call a%get(i4, stat, errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'not made yet') > 0, trim(errmsg))
    call a%create(i4, [3, 4])
    call a%get(r4, stat, errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'another type') > 0 .and. .not. associated(r4), trim(errmsg))
    call a%get(flat, stat, errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'rank 2') > 0 .and. .not. associated(flat), trim(errmsg))
    call a%create(i4, [3, 4], stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'made already') > 0, trim(errmsg))
    call a%destroy
    call a%create(i4, [3, -4], stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. .not. associated(i4), trim(errmsg))
    call a%create(i4, [2_int64**40, 2_int64**40], stat=stat, errmsg=errmsg)
    call assert(stat /= 0 .and. .not. associated(i4) .and. errmsg /= '', trim(errmsg))
  end subroutine test_fortran_wrong_pointers_are_refused

  subroutine test_fortran_files_have_the_items_first
    type(fm_array) :: a, b
    real(real64), pointer :: x(:, :), y(:, :)
    character(128) :: header
    character(200) :: errmsg
    integer :: unit, stat
    call make_points(a, x, 10)
    call a%save('points.npy')
    open (newunit=unit, file='points.npy', access='stream', status='old', action='read')
    read (unit) header
    close (unit, status='delete')
    call assert(index(header, '(10, 3)') > 0 .and. index(header, "'fortran_order': False") > 0, 'the items come first')
    call a%save('points.npy')
    call b%load('points.npy')
    open (newunit=unit, file='points.npy', status='old')
    close (unit, status='delete')
    call b%get(y)
    call assert(all(x == y) .and. all(shape(y) == [3, 10]), 'what was saved is loaded')
    call b%destroy
    call b%load('no/such/file.npy', stat, errmsg)
    call assert(stat == -2 .and. index(errmsg, 'no/such/file.npy') > 0, trim(errmsg))
  end subroutine test_fortran_files_have_the_items_first

  subroutine test_fortran_failures_name_each_item
    type(fm_pool) :: pool
    type(fm_array) :: numbers, results
    integer(int32), pointer :: x(:), y(:)
    type(fm_failure), allocatable :: list(:)
    integer :: i, stat
    character(300) :: errmsg
    call pool%open(workers=2)
    call numbers%create(x, [20])
    call results%create(y, [20])
    x = [(i, i=0, 19)]
    call pool%map(c_funloc(trouble), numbers, results, &
                  fm_map_opts(on_error=FM_ON_ERROR_CONTINUE, item_timeout=fm_seconds(1.0_real64)), stat, errmsg)
    call assert(stat == FM_ETASK .and. index(errmsg, 'FM_ETASK') > 0 .and. index(errmsg, 'item 5') > 0, trim(errmsg))
    call pool%failures(list)
    call assert(size(list) == 4, 'four failures')
    call assert(all(list%item == [5, 8, 11, 14]), 'lowest first')
    call assert(list(1)%state == FM_ITEM_FAILED .and. list(1)%code == 3, 'what was returned')
    call assert(list(2)%state == FM_ITEM_CRASHED .and. list(2)%signal == 11 .and. list(2)%address == 8, 'SIGSEGV')
    call assert(list(3)%state == FM_ITEM_CRASHED .and. list(3)%signal == 0 .and. list(3)%code == 4, 'STOP 4')
    call assert(list(4)%state == FM_ITEM_TIMEOUT, 'time limit')
    call assert(list(2)%note == 'x is 8', 'the note')
    call assert(fm_item_state_name(list(4)%state) == 'timed out', fm_item_state_name(list(4)%state))
    do i = 1, 20
      if (.not. any(list%item == i - 1)) call assert(y(i) == -x(i), 'the others are done')
    end do
    call pool%destroy
  end subroutine test_fortran_failures_name_each_item

  subroutine test_fortran_in_place_and_status
    type(fm_pool) :: pool
    type(fm_array) :: numbers, status
    integer(int32), pointer :: x(:)
    integer(int8), pointer :: states(:)
    integer :: i
    call pool%open(workers=3)
    call numbers%create(x, [1000])
    call status%create_status(states, 1000_int64)
    x = [(i, i=1, 1000)]
    call pool%map(c_funloc(twice_in_place), numbers, numbers, fm_map_opts(flags=FM_IN_PLACE, status=status%handle))
    call assert(all(x == [(2*i, i=1, 1000)]), 'in place')
    call assert(all(states == FM_ITEM_DONE), 'states')
    call pool%destroy
  end subroutine test_fortran_in_place_and_status

  subroutine test_fortran_life_of_a_pool
    type(fm_pool) :: pool
    type(fm_array) :: out
    integer(int64), pointer :: y(:)
    integer :: stat
    character(200) :: errmsg
    call out%create(y, [4])
    call pool%open(2, stat=stat, errmsg=errmsg)
    call assert(stat == 0, trim(errmsg))
    call pool%join(stat=stat)
    call assert(stat == FM_EBUSY, 'join before close')
    call pool%close
    call pool%map_range(c_funloc(number_item), 1, 4, out, stat=stat)
    call assert(stat == FM_ECLOSED, 'no map after close')
    call pool%join(20.0_real64)
    call pool%destroy
    call pool%destroy ! nothing happens
    call assert(pool%workers() < 0, 'no workers')
    call pool%open(workers=1, start_timeout=20.0_real64, inner_threads=2, pin=FM_PIN_NONE)
    call pool%terminate
    call pool%join
    call pool%destroy
  end subroutine test_fortran_life_of_a_pool

  subroutine test_fortran_wrong_calls_are_refused
    type(fm_pool) :: pool, no_pool
    type(fm_array) :: numbers, results, no_array
    integer(int32), pointer :: x(:), y(:)
    integer, target :: something
    integer :: stat
    character(20) :: version
    character(300) :: errmsg
    call pool%open(workers=-1, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'fm_pool open: ') == 1, trim(errmsg))
    call pool%open(workers=1)
    call pool%open(workers=1, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'open already') > 0, trim(errmsg))
    call numbers%create(x, [4])
    call results%create(y, [5])
    call pool%map(c_funloc(twice_in_place), numbers, results, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, '5') > 0, trim(errmsg))
    call pool%map(c_funloc(twice_in_place), no_array, results, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL, trim(errmsg))
    call no_pool%map(c_funloc(twice_in_place), numbers, results, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'pool') > 0, trim(errmsg))
    call pool%starmap_sub(eight, [fm_array ::], results, stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, '1 to 8') > 0, trim(errmsg))
    call pool%map_sub(stops_at_7, numbers, results, fm_map_opts(arg=c_loc(something)), stat, errmsg)
    call assert(stat == FM_EINVAL .and. index(errmsg, 'no arg') > 0, trim(errmsg))
    call assert(fm_errname(FM_ECLOSED) == 'FM_ECLOSED' .and. len(fm_strerror(FM_ECLOSED)) > 0, 'names of codes')
    call get_environment_variable('VERSION', version)
    call assert(FM_VERSION == version, 'the version')
    call pool%destroy
  end subroutine test_fortran_wrong_calls_are_refused

  subroutine test_fortran_caller_may_work
    type(fm_pool) :: pool
    type(fm_array) :: numbers, ranks
    integer(int32), pointer :: x(:), y(:)
    call pool%open(workers=2, caller=FM_CALLER_WORKS)
    call numbers%create(x, [10], zero=.true.)
    call ranks%create(y, [10])
    call pool%map(c_funloc(rank_item), numbers, ranks, fm_map_opts(schedule=FM_SCHEDULE_STATIC))
    call assert(all(y(1:5) == 0) .and. all(y(6:) == 1), 'half for the caller, half for the worker')
    call assert(fm_worker_rank() == -1 .and. fm_cpu_count() >= 1, 'outside of a function')
    call pool%destroy
  end subroutine test_fortran_caller_may_work

  subroutine test_fortran_initializer_runs_in_each_worker
    type(fm_pool) :: pool
    type(fm_array) :: numbers, seen
    integer(int32), pointer :: x(:), y(:)
    integer(c_int), target :: base
    type(c_funptr) :: initializer
    integer :: stat
    character(200) :: errmsg
    base = 70
    initializer = c_funloc(prepare)
    call pool%open(workers=2, initializer=initializer, init_arg=c_loc(base))
    call numbers%create(x, [10], zero=.true.)
    call seen%create(y, [10])
    call pool%map_sub(tell_prepared, numbers, seen, fm_map_opts(schedule=FM_SCHEDULE_STATIC))
    call assert(all(y(1:5) == 70) .and. all(y(6:) == 71), 'each worker was prepared with its rank')
    call assert(prepared == -1, 'and the caller was not')
    call pool%destroy
    base = -1
    call pool%open(workers=2, initializer=initializer, init_arg=c_loc(base), stat=stat, errmsg=errmsg)
    call assert(stat == FM_EINIT, trim(errmsg))
  end subroutine test_fortran_initializer_runs_in_each_worker

  ! Not a test by itself: it must end with an error and the text.
  subroutine failure_without_stat
    type(fm_pool) :: pool
    call pool%open(workers=-5)
    print *, 'went on'
  end subroutine failure_without_stat
end program test_fortran
