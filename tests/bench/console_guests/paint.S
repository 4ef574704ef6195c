# A guest of 512 bytes that never rests, for recording: 1024x768 in 32 bits, painted anew all the time through the
# linear framebuffer. The upper third holds flat tiles, the middle two-coloured patterns like text, the lower third
# smooth gradients; all of them move. Green stays below 0x80.

        .code16
        .global start

        .set INFO, 0x8000               # what VBE tells of the mode
        .set MODE, 0x144                # Bochs' number for 1024x768x32
        .set WIDTH, 1024

start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld
        ljmp    $0, $main
main:
        movw    $0x4f01, %ax
        movw    $MODE, %cx
        movw    $INFO, %di
        int     $0x10
        movw    $0x4f02, %ax
        movw    $(MODE | 0x4000), %bx   # with the linear framebuffer
        int     $0x10
        cli

        lgdtl   gdt_register            # a segment of 4 GiB, kept in real mode
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        jmp     1f
1:      movw    $8, %bx
        movw    %bx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        jmp     2f
2:
        xorl    %ebp, %ebp              # number of the picture
frame:
        movl    INFO + 40, %edi         # physical address of the framebuffer
        xorl    %edx, %edx              # row
row:
        xorl    %ecx, %ecx              # column
        cmpl    $256, %edx
        jb      tiles
        cmpl    $512, %edx
        jb      text
gradient:
        leal    (%ecx, %edx), %eax
        addl    %ebp, %eax
        shrl    $1, %eax
        movb    %dl, %bl
        addb    %cl, %bl
        shrb    $2, %bl
        movb    %bl, %ah
        andl    $0x7fff, %eax
        movl    %ecx, %ebx
        shll    $14, %ebx
        andl    $0xff0000, %ebx
        orl     %ebx, %eax
        addr32 movl %eax, %es:(%edi)
        addl    $4, %edi
        incl    %ecx
        cmpl    $WIDTH, %ecx
        jb      gradient
        jmp     next

tiles:
        movl    %ecx, %eax
        shrl    $6, %eax
        movl    %edx, %ebx
        shrl    $6, %ebx
        imull   $5, %ebx
        addl    %ebx, %eax
        movl    %ebp, %ebx
        shrl    $2, %ebx
        addl    %ebx, %eax
        imull   $0x293b17, %eax
        andl    $0xff7fff, %eax
        addr32 movl %eax, %es:(%edi)
        addl    $4, %edi
        incl    %ecx
        cmpl    $WIDTH, %ecx
        jb      tiles
        jmp     next

text:
        movl    %ecx, %eax              # bits of the program itself serve as letters
        shrl    $3, %eax
        movl    %edx, %ebx
        addl    %ebp, %ebx              # scrolls a row per picture
        addl    %ebx, %eax
        andl    $0xff, %eax
        addr32 movb 0x7c00(%eax), %al
        xorb    %bl, %al
        btw     %cx, %ax
        movl    $0x101010, %eax
        jnc     3f
        movl    $0xc07fc0, %eax
3:      addr32 movl %eax, %es:(%edi)
        addl    $4, %edi
        incl    %ecx
        cmpl    $WIDTH, %ecx
        jb      text
next:
        incl    %edx
        cmpl    $768, %edx
        jb      row
        incl    %ebp
        jmp     frame

        .balign 8
gdt:    .quad   0
        .quad   0x00cf92000000ffff
gdt_register:
        .word   15
        .long   gdt

        .org    510
        .word   0xaa55
