(* SPDX-License-Identifier: MIT *)
(* OCaml's Parmap as an engine of bench/item: the protocol is in bench/engine.h, the command in bench/item.h.

       parmap_item WORKERS ITEMS

   Its fastest function for numbers: array_float_parmap with the result and the shared buffer made beforehand. *)

let warm = 100

let multiply_and_add x = (x *. 5.) +. 1.

type rows = { input : float array; result : float array; buffer : Parmap.buf }

let make_rows n =
  let input = Array.init n float_of_int in
  { input; result = Array.make n 0.; buffer = Parmap.init_shared_buffer input }

(* Time per item [ns]. *)
let time_map ncores rows =
  let n = Array.length rows.input in
  Array.fill rows.result 0 n 0.;
  let start = Unix.gettimeofday () in
  let results =
    Parmap.array_float_parmap ~ncores ~result:rows.result ~sharedbuffer:rows.buffer multiply_and_add
      rows.input
  in
  let seconds = Unix.gettimeofday () -. start in
  Array.iteri
    (fun i x -> if results.(i) <> multiply_and_add x then failwith "items are missing")
    rows.input;
  seconds *. 1e9 /. float_of_int n

(* The driver asks for the same number each time: the arrays are kept. *)
let known = ref None

let rows_of n =
  match !known with
  | Some rows when Array.length rows.input = n -> rows
  | _ ->
      let rows = make_rows n in
      known := Some rows;
      rows

let () =
  let workers = int_of_string Sys.argv.(1) in
  let few = make_rows warm in
  print_endline "ready";
  try
    while true do
      Scanf.sscanf (input_line stdin) "run %s %d" (fun _ n ->
          ignore (time_map workers few);
          Printf.printf "%.6f\n%!" (time_map workers (rows_of n)))
    done
  with End_of_file -> ()
