# A guest of 512 bytes that shows a still picture of 320 by 200 pixels: slopes across the screen, of 128 colours.
# (Of 256 colours in one rectangle, QEMU 7.2 loses one in Tight and TightPNG: it gets the index 0.)
        .code16
        .global start
start:  cli
        xorw %ax,%ax
        movw %ax,%ds
        movw %ax,%ss
        movw $0x7c00,%sp
        sti
        movw $0x13,%ax                  # 320x200, 256 colours
        int $0x10
        movw $0xa000,%ax
        movw %ax,%es
        movw $0x3c8,%dx                 # the palette: red rises, blue falls, green is its lower six bits
        xorb %al,%al
        outb %al,%dx
        incw %dx
        xorw %cx,%cx
1:      movb %cl,%al
        shrb $1,%al
        outb %al,%dx
        movb %cl,%al
        outb %al,%dx
        movb %cl,%al
        notb %al
        shrb $1,%al
        outb %al,%dx
        incb %cl
        jnz 1b
        xorw %di,%di                    # pixel = (x + 2 y) mod 128
        xorw %bx,%bx
2:      xorw %cx,%cx
3:      movw %cx,%ax
        addw %bx,%ax
        addw %bx,%ax
        andb $0x7f,%al
        stosb
        incw %cx
        cmpw $320,%cx
        jne 3b
        incw %bx
        cmpw $200,%bx
        jne 2b
4:      hlt
        jmp 4b
        .org 510
        .word 0xaa55
