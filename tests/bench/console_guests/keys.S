# A guest of 512 bytes that rests: its screen (80x25 text, no cursor) changes only when a key goes down, then a block
# of 20x6 cells in the middle takes the next of seven colours. The processor halts in between; the keyboard's interrupt
# wakes it at once.

        .code16
        .global start
start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld
        sti
        movw    $0x0003, %ax            # text mode, screen cleared
        int     $0x10
        movb    $0x01, %ah              # no cursor: its blinking would be a change
        movw    $0x2000, %cx
        int     $0x10
        movw    $0xb800, %ax
        movw    %ax, %es
        movb    $1, %bl
paint:
        movw    $(10 * 160 + 60), %di
        movb    $6, %dl
1:      movb    %bl, %ah
        movb    $0xdb, %al              # a full block in that colour
        movw    $20, %cx
        rep stosw
        addw    $(160 - 40), %di
        decb    %dl
        jnz     1b
wait:
        movb    $0x11, %ah
        int     $0x16
        jnz     key
        hlt
        jmp     wait
key:
        movb    $0x10, %ah
        int     $0x16
        incb    %bl
        cmpb    $8, %bl
        jb      paint
        movb    $1, %bl
        jmp     paint

        .org    510
        .word   0xaa55
