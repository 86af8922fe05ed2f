;; A filter for tests of this crate alone: it obeys the first letter of its configuration.
;;   "c..." sends every request to the canary, "r..." is refused, anything else (or nothing) passes through.
;; Whatever it does, it counts each request.
(module
  (import "env" "proxy_get_buffer_bytes"
    (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value"
    (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric"
    (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric"
    (func $increment (param i32 i64) (result i32)))

  (memory (export "memory") 4)
  (data (i32.const 64) "x-serin-arm")
  (data (i32.const 96) "canary")
  (data (i32.const 128)
    "serin_assigned_total.rollout=.=ranker;.;version=.=v1.2;.;arm=.=stable;.;cause=.=weight;.;")
  (data (i32.const 256) "serin_policy_refused_total.reason=.=told_to;.;")

  (global $heap (mut i32) (i32.const 4096))
  (global $letter (mut i32) (i32.const 0))
  (global $counter (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.add (global.get $heap) (local.get $size)))
    (local.get $at))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (i32.eqz (call $define (i32.const 0) (i32.const 128) (i32.const 89) (i32.const 16)))
    (global.set $counter (i32.load (i32.const 16))))

  (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
    (global.set $letter (i32.const 0))
    (if (local.get $size)
      (then
        ;; 7: the plugin's configuration; its address is written to 0, its length to 4.
        (if (i32.eqz (call $get_buffer (i32.const 7) (i32.const 0) (local.get $size) (i32.const 0) (i32.const 4)))
          (then (global.set $letter (i32.load8_u (i32.load (i32.const 0))))))))
    (if (i32.eq (global.get $letter) (i32.const 114)) ;; r
      (then
        (drop (call $define (i32.const 0) (i32.const 256) (i32.const 46) (i32.const 20)))
        (drop (call $increment (i32.load (i32.const 20)) (i64.const 1)))))
    (i32.ne (global.get $letter) (i32.const 114)))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $increment (global.get $counter) (i64.const 1)))
    (if (i32.eq (global.get $letter) (i32.const 99)) ;; c
      (then
        (drop (call $set_header
          (i32.const 0) (i32.const 64) (i32.const 11) (i32.const 96) (i32.const 6)))))
    (i32.const 0)))
