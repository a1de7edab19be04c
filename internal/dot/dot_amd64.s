#include "textflag.h"

// func rowsAVX(y, a, x *float32, n, whole, rest int)
TEXT ·rowsAVX(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ x+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ whole+32(FP), R8
	MOVQ rest+40(FP), R11
	SHLQ $2, R11

row:
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	MOVQ   DX, R9
	MOVQ   R8, R10

block:
	PREFETCHT0 4096(SI) // a page ahead: the processor itself prefetches only within a page
	PREFETCHT0 4160(SI)
	VMOVUPS (R9), Y4
	VMOVUPS 32(R9), Y5
	VMOVUPS 64(R9), Y6
	VMOVUPS 96(R9), Y7
	VMULPS  (SI), Y4, Y4
	VMULPS  32(SI), Y5, Y5
	VMULPS  64(SI), Y6, Y6
	VMULPS  96(SI), Y7, Y7
	VADDPS  Y4, Y0, Y0
	VADDPS  Y5, Y1, Y1
	VADDPS  Y6, Y2, Y2
	VADDPS  Y7, Y3, Y3
	ADDQ    $128, R9
	ADDQ    $128, SI
	SUBQ    $32, R10
	JNZ     block

	VADDPS       Y1, Y0, Y0
	VADDPS       Y3, Y2, Y2
	VADDPS       Y2, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VHADDPS      X0, X0, X0
	VHADDPS      X0, X0, X0
	VMOVSS       X0, (DI)
	ADDQ         $4, DI
	ADDQ         R11, SI
	DECQ         CX
	JNZ          row

	VZEROUPPER
	RET
