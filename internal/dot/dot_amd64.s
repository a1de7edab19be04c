#include "textflag.h"

// PRODUCTS multiplies 32 numbers of a row with 32 of x, which are in Y8 to Y11, and
// adds the products to four registers.
#define PRODUCTS(row, s0, s1, s2, s3) \
	VMULPS (row), Y8, Y12;    \
	VMULPS 32(row), Y9, Y13;  \
	VMULPS 64(row), Y10, Y14; \
	VMULPS 96(row), Y11, Y15; \
	VADDPS Y12, s0, s0;       \
	VADDPS Y13, s1, s1;       \
	VADDPS Y14, s2, s2;       \
	VADDPS Y15, s3, s3

// TOTAL adds the 32 partial sums in four registers. x0 and x1 are the lower halves of
// s0 and s1.
#define TOTAL(s0, s1, s2, s3, x0, x1) \
	VADDPS       s1, s0, s0; \
	VADDPS       s3, s2, s2; \
	VADDPS       s2, s0, s0; \
	VEXTRACTF128 $1, s0, x1; \
	VADDPS       x1, x0, x0; \
	VHADDPS      x0, x0, x0; \
	VHADDPS      x0, x0, x0

// func rowsAVX(y, a, x *float32, n, whole, rest int)
TEXT ·rowsAVX(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ x+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ whole+32(FP), R8
	MOVQ rest+40(FP), R11
	SHLQ $2, R11
	MOVQ R8, R12
	SHLQ $2, R12
	ADDQ R11, R12 // the bytes of a row

	SUBQ $2, CX
	JLT  last

pair: // two rows at a time load x once
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	MOVQ   DX, R9
	MOVQ   R8, R10
	LEAQ   (SI)(R12*1), R13
	MOVQ   SI, BX

pairblock:
	PREFETCHT0 4096(BX) // a page ahead: the processor itself prefetches only within a page
	PREFETCHT0 4160(BX)
	PREFETCHT0 4224(BX)
	PREFETCHT0 4288(BX)
	ADDQ $256, BX
	VMOVUPS (R9), Y8
	VMOVUPS 32(R9), Y9
	VMOVUPS 64(R9), Y10
	VMOVUPS 96(R9), Y11
	PRODUCTS(SI, Y0, Y1, Y2, Y3)
	PRODUCTS(R13, Y4, Y5, Y6, Y7)
	ADDQ $128, R9
	ADDQ $128, SI
	ADDQ $128, R13
	SUBQ $32, R10
	JNZ  pairblock

	TOTAL(Y0, Y1, Y2, Y3, X0, X1)
	TOTAL(Y4, Y5, Y6, Y7, X4, X5)
	VMOVSS X0, (DI)
	VMOVSS X4, 4(DI)
	ADDQ   $8, DI
	LEAQ   (R13)(R11*1), SI
	SUBQ   $2, CX
	JGE    pair

last: // CX is the number of rows left less two
	ADDQ $2, CX
	JZ   done
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

lastblock:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	VMOVUPS 64(DX), Y10
	VMOVUPS 96(DX), Y11
	PRODUCTS(SI, Y0, Y1, Y2, Y3)
	ADDQ $128, DX
	ADDQ $128, SI
	SUBQ $32, R8
	JNZ  lastblock

	TOTAL(Y0, Y1, Y2, Y3, X0, X1)
	VMOVSS X0, (DI)

done:
	VZEROUPPER
	RET

// func addRowsAVX(y, a *float32, numbers *int32, weights *float32, d, n int)
TEXT ·addRowsAVX(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ numbers+16(FP), DX
	MOVQ weights+24(FP), BX
	MOVQ d+32(FP), R8
	MOVQ n+40(FP), CX
	MOVQ R8, R12
	SHLQ $2, R12 // the bytes of a row

row:
	MOVLQSX      (DX), R9
	IMULQ        R12, R9
	ADDQ         SI, R9
	VBROADCASTSS (BX), Y0
	MOVQ         DI, R10
	MOVQ         R8, R11
	SUBQ         $8, R11
	JLT          rest

eight:
	VMULPS  (R9), Y0, Y1
	VADDPS  (R10), Y1, Y1
	VMOVUPS Y1, (R10)
	ADDQ    $32, R9
	ADDQ    $32, R10
	SUBQ    $8, R11
	JGE     eight

rest: // R11 is the number of numbers left less eight
	ADDQ $8, R11
	JZ   next

one:
	VMULSS (R9), X0, X1
	VADDSS (R10), X1, X1
	VMOVSS X1, (R10)
	ADDQ   $4, R9
	ADDQ   $4, R10
	DECQ   R11
	JNZ    one

next:
	ADDQ $4, DX
	ADDQ $4, BX
	DECQ CX
	JNZ  row
	VZEROUPPER
	RET

// func addInt8RowsAVX(y *float32, a *byte, numbers *int32, scales *float32, d, n int)
TEXT ·addInt8RowsAVX(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ numbers+16(FP), DX
	MOVQ scales+24(FP), BX
	MOVQ d+32(FP), R8
	MOVQ n+40(FP), CX

row:
	MOVLQSX      (DX), R9
	VBROADCASTSS (BX)(R9*4), Y0
	IMULQ        R8, R9
	ADDQ         SI, R9
	MOVQ         DI, R10
	MOVQ         R8, R11
	SUBQ         $8, R11
	JLT          rest

eight:
	VPMOVSXBD (R9), Y1
	VCVTDQ2PS Y1, Y1
	VMULPS    Y0, Y1, Y1
	VADDPS    (R10), Y1, Y1
	VMOVUPS   Y1, (R10)
	ADDQ      $8, R9
	ADDQ      $32, R10
	SUBQ      $8, R11
	JGE       eight

rest: // R11 is the number of numbers left less eight
	ADDQ $8, R11
	JZ   next

one:
	MOVBLSX    (R9), AX
	VCVTSI2SSL AX, X0, X1
	VMULSS     X0, X1, X1
	VADDSS     (R10), X1, X1
	VMOVSS     X1, (R10)
	INCQ       R9
	ADDQ       $4, R10
	DECQ       R11
	JNZ        one

next:
	ADDQ $4, DX
	DECQ CX
	JNZ  row
	VZEROUPPER
	RET
